package controllers

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Bounds of texts, in bytes.
const (
	maxMessage = 4 << 10 // of a condition; the API server takes 32 KiB
	maxNote    = 1000    // of an event; the API server takes 1 KiB
	maxRefusal = 200     // of an enforcer, inside a condition
)

// setConditions sets conditions that speak of a generation, and keeps those of
// others. The time of a transition changes only with the status.
func setConditions(conditions *[]metav1.Condition, generation int64, now time.Time, all ...metav1.Condition) {
	for _, c := range all {
		c.ObservedGeneration = generation
		c.LastTransitionTime = metav1.NewTime(now)
		c.Message = shorten(c.Message, maxMessage)
		meta.SetStatusCondition(conditions, c)
	}
}

func enforcerCount(programmed, ready int) *v1alpha1.EnforcerCount {
	return &v1alpha1.EnforcerCount{
		Programmed: int32(programmed),
		Ready:      int32(ready),
		Summary:    fmt.Sprintf("%d/%d", programmed, ready),
	}
}

// enumerate joins the first few of a list and counts the rest.
func enumerate(list []string) string {
	const most = 3
	if len(list) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(list[:most], "; "), len(list)-most)
	}
	return strings.Join(list, "; ")
}

// shorten cuts a text to at most n bytes, between two characters.
func shorten(text string, n int) string {
	const ellipsis = "…"
	if len(text) <= n {
		return text
	}
	end := n - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
