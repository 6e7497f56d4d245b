package controllers

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/controllers/workload"
	"github.com/sluice-dev/sluice/enforcer/gossipkey"
)

// gossipKey returns the key of which all bytes are b.
func gossipKey(t testing.TB, b byte) gossipkey.Key {
	t.Helper()
	k, err := gossipkey.New(bytes.NewReader(bytes.Repeat([]byte{b}, gossipkey.Size)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestARotationHasThreeSteps(t *testing.T) {
	a, b := gossipKey(t, 1), gossipKey(t, 2)
	ring := keyring{keys: []gossipkey.Key{a}}
	for _, want := range []keyring{
		{[]gossipkey.Key{a, b}, "2026", stepAdded},
		{[]gossipkey.Key{b, a}, "2026", stepSeals},
		{[]gossipkey.Key{b}, "2026", stepNone},
	} {
		var err error
		// What is asked for while a rotation is under way comes after it.
		asked := "2026"
		if ring.step != stepNone {
			asked = "2027"
		}
		if ring, err = ring.next(asked, func() (gossipkey.Key, error) { return b, nil }); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(ring) != fmt.Sprint(want) {
			t.Errorf("keys %v, want %v", ring, want)
		}
		var secret corev1.Secret
		ring.write(&secret)
		keys, err := gossipkey.Parse(secret.Data[workload.KeyFile])
		read := keyring{keys, secret.Annotations[rotationAnnotation], secret.Annotations[stepAnnotation]}
		if err != nil || fmt.Sprint(read) != fmt.Sprint(ring) {
			t.Errorf("read back %v (%v), want %v", read, err, ring)
		}
	}
	if !ring.idle("2026") || !ring.idle("") || ring.idle("2027") {
		t.Error("a rotation is begun by another text, and by nothing else")
	}
}

func TestAFullKeyringIsNotRotated(t *testing.T) {
	ring := keyring{keys: make([]gossipkey.Key, gossipkey.Max)}
	if _, err := ring.next("2026", nil); err == nil || !strings.Contains(err.Error(), "leave the first one") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

// Enforcers see a Secret some time after it changed, each at another time. Whatever
// one of them seals, every other one can open, at any time of any rotation.
func TestNobodyNoticesARotation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		made := byte(0)
		fresh := func() (gossipkey.Key, error) {
			made++
			return gossipkey.New(bytes.NewReader(bytes.Repeat([]byte{made}, gossipkey.Size)))
		}
		first, _ := fresh()
		ring := keyring{keys: []gossipkey.Key{first}}
		enforcers := make([][]gossipkey.Key, rapid.IntRange(1, 6).Draw(t, "enforcers"))
		for i := range enforcers {
			enforcers[i] = ring.keys
		}
		asked, rotations := "", 0
		for range 200 {
			switch i := random.IntN(len(enforcers) + 2); {
			case i < len(enforcers):
				enforcers[i] = ring.keys
			case i == len(enforcers):
				asked = fmt.Sprint(random.IntN(3) + 1)
			case !ring.idle(asked) && !slices.ContainsFunc(enforcers, func(e []gossipkey.Key) bool { return !slices.Equal(e, ring.keys) }):
				var err error
				if ring, err = ring.next(asked, fresh); err != nil {
					t.Fatal(err)
				}
				if ring.step == stepNone {
					rotations++
				}
			}
			for i, from := range enforcers {
				for j, to := range enforcers {
					if !slices.Contains(to, from[0]) {
						t.Fatalf("%d seals with %v, and %d has %v", i, from[0], j, to)
					}
				}
			}
		}
		if len(enforcers) == 1 && rotations == 0 {
			t.Error("200 turns with one enforcer made no rotation")
		}
	})
}

func TestHaveKeys(t *testing.T) {
	key := gossipKey(t, 1)
	good := enforcer{name: "a", keys: key.String()}
	old := deployment(3, 2, 2)
	starting := deployment(3, 3, 2)
	for name, tc := range map[string]struct {
		deployment *appsv1.Deployment
		seen       []enforcer
		want       bool
	}{
		"all of them":                   {deployment(3, 3, 3), []enforcer{good, good, good}, true},
		"one has others":                {deployment(3, 3, 3), []enforcer{good, good, {keys: "others"}}, false},
		"one has more":                  {deployment(3, 3, 3), []enforcer{good, good, {keys: key.String() + " others"}}, false},
		"one has none":                  {deployment(3, 3, 3), []enforcer{good, good, {}}, false},
		"one does not answer":           {deployment(3, 3, 3), []enforcer{good, good, {problem: "does not answer", keys: key.String()}}, false},
		"one is not ready":              {starting, []enforcer{good, good}, false},
		"one is about to be replaced":   {old, []enforcer{good, good, good}, false},
		"there is no Deployment":        {nil, nil, false},
		"the Deployment has no pod yet": {deployment(0, 0, 0), nil, false},
	} {
		if got := haveKeys(tc.deployment, tc.seen, []gossipkey.Key{key}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
