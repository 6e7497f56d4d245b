package assemble

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

const (
	good  = "request.path"
	wrong = "request.path + typo"
)

// resource makes a policy as the API server stores it: its name is its UID too,
// and it is as many seconds old as age says.
func resource(name string, generation int64, age int, domain, key string) v1alpha1.RateLimitPolicy {
	p := v1alpha1.RateLimitPolicy{Spec: v1alpha1.RateLimitPolicySpec{
		Domain: domain,
		Limits: []v1alpha1.Limit{{
			Name: "per-client", Key: []v1alpha1.Expression{v1alpha1.Expression(key)},
			Algorithm: v1alpha1.AlgorithmTokenBucket, Mode: v1alpha1.ModeEnforce,
			Rate: v1alpha1.Rate{Requests: 10, Per: "1s"},
		}},
	}}
	p.Namespace, p.Name, _ = strings.Cut(name, "/")
	p.UID, p.Generation = types.UID(name), generation
	p.CreationTimestamp = metav1.NewTime(time.Unix(1_000_000-int64(age), 0))
	return p
}

// document assembles resources without a past.
func document(all ...v1alpha1.RateLimitPolicy) *policy.Document {
	return Document(Input{Pool: "default", Policies: all}).Document
}

func TestDocument(t *testing.T) {
	type want struct {
		reason  string
		message string // a part of it
		domain  string
		inForce int64
	}
	for name, tc := range map[string]struct {
		previous *policy.Document
		barred   map[string]string
		policies []v1alpha1.RateLimitPolicy
		want     map[string]want
	}{
		"a domain is the namespace's and the name's, or the one asked for": {
			policies: []v1alpha1.RateLimitPolicy{resource("shop/a", 1, 0, "", good), resource("shop/b", 3, 0, "web", good)},
			want: map[string]want{
				"shop/a": {v1alpha1.ReasonAccepted, "", "shop.a", 1},
				"shop/b": {v1alpha1.ReasonAccepted, "", "web", 3},
			},
		},
		"policies of one namespace share a domain": {
			policies: []v1alpha1.RateLimitPolicy{resource("shop/a", 1, 0, "web", good), resource("shop/b", 1, 1, "web", good)},
			want: map[string]want{
				"shop/a": {v1alpha1.ReasonAccepted, "", "web", 1},
				"shop/b": {v1alpha1.ReasonAccepted, "", "web", 1},
			},
		},
		"a policy of a namespace that is barred is out, with its last good version and its domain": {
			previous: document(resource("a/old", 1, 9, "web", good)),
			barred:   map[string]string{"a": "the pool is for others"},
			policies: []v1alpha1.RateLimitPolicy{resource("a/old", 2, 9, "web", wrong), resource("b/young", 1, 0, "web", good)},
			want: map[string]want{
				"a/old":   {v1alpha1.ReasonNotAllowedByPool, "the pool is for others", "web", 0},
				"b/young": {v1alpha1.ReasonAccepted, "", "web", 1},
			},
		},
		"a domain belongs to the namespace of its oldest policy": {
			policies: []v1alpha1.RateLimitPolicy{resource("a/young", 1, 1, "web", good), resource("b/old", 1, 2, "web", good)},
			want: map[string]want{
				"a/young": {v1alpha1.ReasonDomainConflict, `the domain "web" belongs to namespace b, by the older policy b/old: use another domain`, "web", 0},
				"b/old":   {v1alpha1.ReasonAccepted, "", "web", 1},
			},
		},
		"of policies of one age the name decides": {
			policies: []v1alpha1.RateLimitPolicy{resource("b/x", 1, 1, "web", good), resource("a/x", 1, 1, "web", good)},
			want: map[string]want{
				"a/x": {v1alpha1.ReasonAccepted, "", "web", 1},
				"b/x": {v1alpha1.ReasonDomainConflict, "namespace a", "web", 0},
			},
		},
		"what was never good owns no domain": {
			policies: []v1alpha1.RateLimitPolicy{resource("a/old", 1, 2, "web", wrong), resource("b/young", 1, 1, "web", good)},
			want: map[string]want{
				"a/old":   {v1alpha1.ReasonInvalid, "spec.limits[0].key[0]: 1:16: ", "web", 0},
				"b/young": {v1alpha1.ReasonAccepted, "", "web", 1},
			},
		},
		"the last good version stays, with its domain": {
			previous: document(resource("a/old", 1, 2, "web", good)),
			policies: []v1alpha1.RateLimitPolicy{resource("a/old", 2, 2, "other", wrong), resource("b/young", 1, 1, "web", good), resource("c/young", 1, 1, "other", good)},
			want: map[string]want{
				"a/old":   {v1alpha1.ReasonInvalid, "; generation 1 stays in force", "other", 1},
				"b/young": {v1alpha1.ReasonDomainConflict, "namespace a", "web", 0},
				"c/young": {v1alpha1.ReasonAccepted, "", "other", 1},
			},
		},
		"a policy that was deleted and made again has no past": {
			previous: func() *policy.Document {
				before := resource("a/x", 1, 2, "", good)
				before.UID = "another"
				return document(before)
			}(),
			policies: []v1alpha1.RateLimitPolicy{resource("a/x", 1, 1, "", wrong)},
			want:     map[string]want{"a/x": {v1alpha1.ReasonInvalid, "undeclared reference to 'typo'", "a.x", 0}},
		},
		"a policy that moves to a domain of another namespace keeps its own": {
			previous: document(resource("a/old", 1, 2, "web", good), resource("b/young", 1, 1, "mine", good)),
			policies: []v1alpha1.RateLimitPolicy{
				resource("a/old", 1, 2, "web", good), resource("b/young", 2, 1, "web", good), resource("c/last", 1, 0, "mine", good),
			},
			want: map[string]want{
				"a/old":   {v1alpha1.ReasonAccepted, "", "web", 1},
				"b/young": {v1alpha1.ReasonDomainConflict, "use another domain; generation 1 stays in force", "web", 1},
				"c/last":  {v1alpha1.ReasonDomainConflict, "namespace b", "mine", 0},
			},
		},
		"a policy loses its domain to an older one": {
			previous: document(resource("a/old", 1, 2, "elsewhere", good), resource("b/young", 1, 1, "web", good)),
			policies: []v1alpha1.RateLimitPolicy{resource("a/old", 2, 2, "web", good), resource("b/young", 1, 1, "web", good)},
			want: map[string]want{
				"a/old":   {v1alpha1.ReasonAccepted, "", "web", 2},
				"b/young": {v1alpha1.ReasonDomainConflict, "namespace a", "web", 0},
			},
		},
		"a faulty policy loses the domain of its last good version": {
			previous: document(resource("a/old", 1, 2, "elsewhere", good), resource("b/young", 1, 1, "web", good)),
			policies: []v1alpha1.RateLimitPolicy{resource("a/old", 2, 2, "web", good), resource("b/young", 2, 1, "other", wrong)},
			want: map[string]want{
				"a/old":   {v1alpha1.ReasonAccepted, "", "web", 2},
				"b/young": {v1alpha1.ReasonInvalid, `generation 1 is no longer in force: the domain "web" belongs to namespace a`, "other", 0},
			},
		},
		"the owner goes and the next one is let in": {
			previous: document(resource("a/old", 1, 2, "web", good)),
			policies: []v1alpha1.RateLimitPolicy{resource("b/young", 1, 1, "web", good)},
			want:     map[string]want{"b/young": {v1alpha1.ReasonAccepted, "", "web", 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Document(Input{Pool: "default", Policies: tc.policies, Barred: tc.barred, Previous: tc.previous})
			inForce := byName(got.Document)
			for name, want := range tc.want {
				namespace, name, _ := strings.Cut(name, "/")
				key := types.NamespacedName{Namespace: namespace, Name: name}
				o := got.Outcomes[key]
				if o.Reason != want.reason || !strings.Contains(o.Message, want.message) || o.Domain != want.domain || o.InForce != want.inForce {
					t.Errorf("%s: outcome %+v, want %+v", key, o, want)
				}
				if o.Accepted() != (want.reason == v1alpha1.ReasonAccepted) {
					t.Errorf("%s: Accepted() is %v with reason %s", key, o.Accepted(), o.Reason)
				}
				var generation int64
				if p := inForce[key]; p != nil {
					generation = p.Generation
				}
				if generation != want.inForce {
					t.Errorf("%s: the document has generation %d, want %d", key, generation, want.inForce)
				}
			}
			if _, err := policy.Compile(got.Document); err != nil {
				t.Errorf("the document does not compile: %v", err)
			}
		})
	}
}

// The manager starts with what is published, whatever the order in which the API
// server lists policies.
func TestDocumentDependsOnItsInputOnly(t *testing.T) {
	a, b, c := resource("a/x", 1, 3, "web", good), resource("b/x", 1, 2, "web", good), resource("c/x", 1, 1, "", wrong)
	cache := NewCache()
	want := Document(Input{Policies: []v1alpha1.RateLimitPolicy{a, b, c}})
	for _, order := range [][]v1alpha1.RateLimitPolicy{{a, b, c}, {c, b, a}, {b, c, a}} {
		got := Document(Input{Policies: order, Previous: want.Document, Cache: cache})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// A policy that did not change is not made and compiled again, and one that is gone
// is forgotten.
func TestTheCacheKeepsWhatTheLastDocumentUsed(t *testing.T) {
	cache := NewCache()
	requests := func(of ...v1alpha1.RateLimitPolicy) (list []int64) {
		for _, p := range Document(Input{Policies: of, Cache: cache}).Document.Policies {
			list = append(list, p.Limits[0].Rate.Requests)
		}
		return list
	}
	a, b := resource("a/x", 1, 2, "", good), resource("b/x", 1, 1, "", good)
	requests(a, b)
	a.Generation, a.Spec.Limits[0].Rate.Requests = 2, 20
	b.Spec.Limits[0].Rate.Requests = 30 // of the same generation: the API server lets nobody do that
	if diff := cmp.Diff([]int64{20, 10}, requests(a, b)); diff != "" {
		t.Errorf("requests of the policies (-want +got):\n%s", diff)
	}
	if len(cache.checks) != 2 {
		t.Errorf("the cache remembers %d versions, want those of 2 policies", len(cache.checks))
	}
	requests(a)
	if len(cache.checks) != 1 {
		t.Errorf("the cache remembers %d versions, want the one that is left", len(cache.checks))
	}
}

func TestDefaultsAreForWhatIsLeftOut(t *testing.T) {
	says := func(mode v1alpha1.Mode, firstBurst v1alpha1.FirstBurst) v1alpha1.RateLimitPolicy {
		p := resource("a/x", 1, 0, "", good)
		p.Spec.Limits[0].Mode, p.Spec.Limits[0].FirstBurst = mode, firstBurst
		return p
	}
	silent := says("", "")
	for name, tc := range map[string]struct {
		policy           v1alpha1.RateLimitPolicy
		defaults         *v1alpha1.LimitDefaults
		mode, firstBurst string
		message          string
	}{
		"nobody says anything":        {silent, nil, policy.Enforce, policy.Full, "the policy is valid"},
		"the pool says one thing":     {silent, &v1alpha1.LimitDefaults{FirstBurst: v1alpha1.FirstBurstShare}, policy.Enforce, policy.Share, "the policy is valid; by the defaults of EnforcerPool edge, limits that do not say otherwise have firstBurst Share"},
		"the pool says all":           {silent, &v1alpha1.LimitDefaults{Mode: v1alpha1.ModeShadow, FirstBurst: v1alpha1.FirstBurstShare}, policy.Shadow, policy.Share, "the policy is valid; by the defaults of EnforcerPool edge, limits that do not say otherwise have mode Shadow and firstBurst Share"},
		"what a limit says is done":   {says("Enforce", "Full"), &v1alpha1.LimitDefaults{Mode: v1alpha1.ModeShadow, FirstBurst: v1alpha1.FirstBurstShare}, policy.Enforce, policy.Full, "the policy is valid"},
		"a limit says just one thing": {says("Shadow", ""), &v1alpha1.LimitDefaults{Mode: v1alpha1.ModeEnforce, FirstBurst: v1alpha1.FirstBurstShare}, policy.Shadow, policy.Share, "the policy is valid; by the defaults of EnforcerPool edge, limits that do not say otherwise have firstBurst Share"},
	} {
		r := Document(Input{Pool: "edge", Policies: []v1alpha1.RateLimitPolicy{tc.policy}, Defaults: tc.defaults})
		l := r.Document.Policies[0].Limits[0]
		if l.Mode != tc.mode || l.FirstBurst != tc.firstBurst {
			t.Errorf("%s: mode %s and firstBurst %s, want %s and %s", name, l.Mode, l.FirstBurst, tc.mode, tc.firstBurst)
		}
		if got := r.Outcomes[types.NamespacedName{Namespace: "a", Name: "x"}].Message; got != tc.message {
			t.Errorf("%s: %q, want %q", name, got, tc.message)
		}
	}

	// Enforcers hear of other defaults, and a version that stays keeps its own.
	cache := NewCache()
	before := Document(Input{Policies: []v1alpha1.RateLimitPolicy{silent}, Cache: cache}).Document
	invalid := resource("a/x", 2, 0, "", wrong)
	shadow := &v1alpha1.LimitDefaults{Mode: v1alpha1.ModeShadow}
	if after := Document(Input{Policies: []v1alpha1.RateLimitPolicy{silent}, Previous: before, Defaults: shadow, Cache: cache}).Document; after.Digest() == before.Digest() {
		t.Error("the document is the same with other defaults")
	}
	if after := Document(Input{Policies: []v1alpha1.RateLimitPolicy{invalid}, Previous: before, Defaults: shadow}).Document; after.Digest() != before.Digest() {
		t.Errorf("the last good version changed to %+v", after.Policies)
	}
}

// What a limit says decides which defaults are for it: one never makes it invalid.
func TestDefaultsOfSharing(t *testing.T) {
	const taken = "the policy is valid; by the defaults of EnforcerPool edge, limits that do not say otherwise have "
	local := &v1alpha1.LimitDefaults{Sharing: v1alpha1.SharingLocal, FirstBurst: v1alpha1.FirstBurstShare}
	exact := &v1alpha1.LimitDefaults{Sharing: v1alpha1.SharingExact, OnUnreachable: v1alpha1.OnUnreachableDeny}
	for name, tc := range map[string]struct {
		limit    v1alpha1.Limit // what it says of sharing
		defaults *v1alpha1.LimitDefaults
		want     policy.Limit
		version  int
		message  string
	}{
		"nobody says anything":           {v1alpha1.Limit{}, nil, policy.Limit{FirstBurst: "Full"}, 1, "the policy is valid"},
		"the pool says Local":            {v1alpha1.Limit{}, local, policy.Limit{Sharing: "Local"}, 2, taken + "sharing Local"},
		"the limit says Local":           {v1alpha1.Limit{Sharing: "Local"}, nil, policy.Limit{Sharing: "Local"}, 2, "the policy is valid"},
		"both say Local":                 {v1alpha1.Limit{Sharing: "Local"}, local, policy.Limit{Sharing: "Local"}, 2, "the policy is valid"},
		"the limit says Gossip":          {v1alpha1.Limit{Sharing: "Gossip"}, local, policy.Limit{FirstBurst: "Share"}, 1, taken + "firstBurst Share"},
		"a first burst is one of Gossip": {v1alpha1.Limit{FirstBurst: "Full"}, local, policy.Limit{FirstBurst: "Full"}, 1, "the policy is valid"},
		"a first burst and Local are no couple": {
			v1alpha1.Limit{Sharing: "Local", FirstBurst: "Full"},
			nil,
			policy.Limit{},
			1,
			"spec.limits[0].firstBurst: firstBurst belongs to sharing Gossip: remove it, or use Gossip",
		},
		"the pool says Exact":              {v1alpha1.Limit{}, exact, policy.Limit{Sharing: "Exact", OnUnreachable: "Deny"}, 2, taken + "sharing Exact and onUnreachable Deny"},
		"the limit says Exact":             {v1alpha1.Limit{Sharing: "Exact"}, nil, policy.Limit{Sharing: "Exact", OnUnreachable: "LocalShare"}, 2, "the policy is valid"},
		"what a limit says of Exact holds": {v1alpha1.Limit{Sharing: "Exact", OnUnreachable: "Admit"}, exact, policy.Limit{Sharing: "Exact", OnUnreachable: "Admit"}, 2, "the policy is valid"},
	} {
		t.Run(name, func(t *testing.T) {
			p := resource("a/x", 1, 0, "", good)
			l := &p.Spec.Limits[0]
			l.Sharing, l.OnUnreachable, l.FirstBurst = tc.limit.Sharing, tc.limit.OnUnreachable, tc.limit.FirstBurst
			r := Document(Input{Pool: "edge", Policies: []v1alpha1.RateLimitPolicy{p}, Defaults: tc.defaults})
			if got := r.Outcomes[types.NamespacedName{Namespace: "a", Name: "x"}].Message; got != tc.message {
				t.Errorf("message %q, want %q", got, tc.message)
			}
			if r.Document.Version != tc.version {
				t.Errorf("version %d, want %d", r.Document.Version, tc.version)
			}
			for _, p := range r.Document.Policies {
				got := policy.Limit{Sharing: p.Limits[0].Sharing, OnUnreachable: p.Limits[0].OnUnreachable, FirstBurst: p.Limits[0].FirstBurst}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("how it is shared (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestManyFaultsAreCounted(t *testing.T) {
	p := resource("a/x", 1, 0, "", wrong)
	for range 15 {
		p.Spec.Limits[0].When = append(p.Spec.Limits[0].When, "request.path == "+v1alpha1.Expression(strings.Repeat("x", 100)))
	}
	got := Document(Input{Policies: []v1alpha1.RateLimitPolicy{p}}).Outcomes[types.NamespacedName{Namespace: "a", Name: "x"}]
	if len(got.Message) > 1200 || !strings.Contains(got.Message, "; and ") {
		t.Errorf("a message of %d bytes: %s", len(got.Message), got.Message)
	}
}

// Every field of a resource is in the wire form.
func TestPolicy(t *testing.T) {
	text := `
metadata: {name: x, namespace: shop, uid: u, generation: 7}
spec:
  limits:
  - name: all
    when: ["true"]
    key: [a, b]
    rate: {requests: 5, per: 1m}
    burst: 6
    cost: "2"
    mode: Shadow
    overrides:
    - {key: [x, z], rate: {requests: 1, per: 1s}, burst: 3}
    - {key: [x, "*"], unlimited: true}
    - {key: ["*", "*"], deny: true}
  - {name: plain, algorithm: FixedWindow, rate: {requests: 1, per: Day}}
  - {name: bare, rate: {requests: 1, per: 1s}}
  - {name: own, rate: {requests: 1, per: 1s}, sharing: Local}
  - {name: paid, rate: {requests: 1, per: 1s}, sharing: Exact, onUnreachable: Deny}
`
	var p v1alpha1.RateLimitPolicy
	if err := yaml.UnmarshalStrict([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	want := policy.Policy{
		Namespace: "shop", Name: "x", UID: "u", Generation: 7, Domain: "shop.x",
		Limits: []policy.Limit{
			{
				Name: "all", When: []string{"true"}, Key: []string{"a", "b"}, Algorithm: policy.TokenBucket,
				Rate: policy.Rate{Requests: 5, Per: "1m"}, Burst: 6, Cost: "2", Mode: policy.Shadow, FirstBurst: policy.Full,
				Overrides: []policy.Override{
					{Key: []string{"x", "z"}, Rate: &policy.Rate{Requests: 1, Per: "1s"}, Burst: 3},
					{Key: []string{"x", "*"}, Unlimited: true},
					{Key: []string{"*", "*"}, Deny: true},
				},
			},
			{Name: "plain", Algorithm: policy.FixedWindow, Rate: policy.Rate{Requests: 1, Per: "Day"}, Mode: policy.Enforce, FirstBurst: policy.Full},
			{Name: "bare", Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 1, Per: "1s"}, Mode: policy.Enforce, FirstBurst: policy.Full},
			{Name: "own", Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 1, Per: "1s"}, Mode: policy.Enforce, Sharing: "Local"},
			{Name: "paid", Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 1, Per: "1s"}, Mode: policy.Enforce, Sharing: "Exact", OnUnreachable: "Deny"},
		},
	}
	if diff := cmp.Diff(want, Policy(&p, nil)); diff != "" {
		t.Errorf("wire form (-want +got):\n%s", diff)
	}
}
