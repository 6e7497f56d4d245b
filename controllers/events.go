package controllers

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/record/util"
	"k8s.io/client-go/tools/reference"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// recorderName is who events come from.
	recorderName = "sluice-manager"

	// eventTimeout bounds the writing of one event.
	eventTimeout = 10 * time.Second
)

// eventWriter writes each event once, and then knows no more of it. The recorder of
// client-go keeps every event for six minutes, a kilobyte of each policy that is
// applied, to count those that repeat. It would find none here: it takes another
// resourceVersion for another object, and an event here follows a status that was
// written. Safe for concurrent use.
type eventWriter struct {
	client client.Client
	log    logr.Logger
}

// Eventf implements events.EventRecorder; related is not used. It returns when the
// event is written, or cannot be, which is logged.
func (w *eventWriter) Eventf(regarding, _ runtime.Object, kind, reason, action, note string, args ...any) {
	if err := w.write(regarding, kind, reason, action, fmt.Sprintf(note, args...)); err != nil {
		w.log.Error(err, "Cannot write an event", "reason", reason)
	}
}

func (w *eventWriter) write(regarding runtime.Object, kind, reason, action, note string) error {
	about, err := reference.GetReference(w.client.Scheme(), regarding)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), eventTimeout)
	defer cancel()
	now := metav1.NowMicro()
	return w.client.Create(ctx, &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: about.Namespace, Name: util.GenerateEventName(about.Name, now.UnixNano())},
		EventTime:  now, ReportingController: recorderName, ReportingInstance: recorderName + "-" + host,
		Type: kind, Reason: reason, Action: action, Regarding: *about, Note: note,
	})
}
