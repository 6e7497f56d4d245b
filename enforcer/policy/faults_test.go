package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/enforcer/decide"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// plain is a policy that compiles.
func plain() policy.Policy {
	return policy.Policy{
		Namespace: "shop", Name: "web", UID: "u", Generation: 1, Domain: "web",
		Limits: []policy.Limit{{
			Name: "per-client", Key: []string{"request.headers['x-api-key']"},
			Algorithm: policy.TokenBucket, Rate: policy.Rate{Requests: 10, Per: "1s"},
		}},
	}
}

func TestFaultsNameTheirField(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*policy.Policy)
		want   []string // the faults, in order; each a part of one
	}{
		"none":           {func(*policy.Policy) {}, nil},
		"no domain":      {func(p *policy.Policy) { p.Domain = "" }, []string{"spec.domain: a policy needs a domain"}},
		"no limits":      {func(p *policy.Policy) { p.Limits = nil }, []string{"spec.limits: 0 limits: use 1 to 64"}},
		"too many":       {func(p *policy.Policy) { p.Limits = make([]policy.Limit, 65) }, []string{"spec.limits: 65 limits: use 1 to 64"}},
		"no name":        {func(p *policy.Policy) { p.Limits[0].Name = "" }, []string{"spec.limits[0].name: a limit needs a name"}},
		"one name twice": {func(p *policy.Policy) { p.Limits = append(p.Limits, p.Limits[0]) }, []string{`spec.limits[1].name: "per-client" is the name of another limit`}},
		"an unknown mode": {
			func(p *policy.Policy) { p.Limits[0].Mode = "Try" }, []string{`spec.limits[0].mode: "Try": use Enforce or Shadow`},
		},
		"an unknown first burst": {
			func(p *policy.Policy) { p.Limits[0].FirstBurst = "Half" }, []string{`spec.limits[0].firstBurst: "Half": use Full or Share`},
		},
		"an unknown sharing": {
			func(p *policy.Policy) { p.Limits[0].Sharing = "Global" }, []string{`spec.limits[0].sharing: "Global": use Gossip, Exact or Local`},
		},
		"a first burst of what is not shared": {
			func(p *policy.Policy) { p.Limits[0].Sharing, p.Limits[0].FirstBurst = "Local", policy.Share },
			[]string{"spec.limits[0].firstBurst: firstBurst belongs to sharing Gossip: remove it, or use Gossip"},
		},
		"a first burst of what is exact": {
			func(p *policy.Policy) { p.Limits[0].Sharing, p.Limits[0].FirstBurst = "Exact", policy.Full },
			[]string{"spec.limits[0].firstBurst: firstBurst belongs to sharing Gossip: remove it, or use Gossip"},
		},
		"an unknown way out": {
			func(p *policy.Policy) { p.Limits[0].Sharing, p.Limits[0].OnUnreachable = "Exact", "Wait" },
			[]string{`spec.limits[0].onUnreachable: "Wait": use LocalShare, Deny or Admit`},
		},
		"a way out of what is not exact": {
			func(p *policy.Policy) { p.Limits[0].OnUnreachable = "Deny" },
			[]string{"spec.limits[0].onUnreachable: onUnreachable belongs to sharing Exact: say sharing: Exact, or remove onUnreachable"},
		},
		"an unknown algorithm": {
			func(p *policy.Policy) { p.Limits[0].Algorithm = "Magic" }, []string{`spec.limits[0].algorithm: "Magic": use TokenBucket, SlidingWindow or FixedWindow`},
		},
		"a rate of nothing": {func(p *policy.Policy) { p.Limits[0].Rate.Requests = 0 }, []string{"spec.limits[0].rate: "}},
		"a time that is none": {
			func(p *policy.Policy) { p.Limits[0].Rate.Per = "soon" }, []string{`spec.limits[0].rate.per: "soon": use a duration of`},
		},
		"a calendar with a bucket": {
			func(p *policy.Policy) { p.Limits[0].Rate.Per = "Day" }, []string{"spec.limits[0].rate: a rate per Day needs algorithm FixedWindow"},
		},
		"a burst with a window": {
			func(p *policy.Policy) { p.Limits[0].Algorithm, p.Limits[0].Burst = policy.SlidingWindow, 5 }, []string{"spec.limits[0].rate: burst belongs to algorithm TokenBucket"},
		},
		"expressions, each with its place": {
			func(p *policy.Policy) {
				p.Limits[0].When = []string{"true", "request.path"}
				p.Limits[0].Key = append(p.Limits[0].Key, "request.path + 1")
				p.Limits[0].Cost = "'x'"
			},
			[]string{
				"spec.limits[0].when[1]: 1:1: this is of type string: write an expression of type bool",
				"spec.limits[0].key[1]: 1:14: found no matching overload",
				"spec.limits[0].cost: 1:1: this is of type string: write an expression of type int",
			},
		},
		"too many expressions": {
			func(p *policy.Policy) {
				p.Limits[0].When = strings.Split(strings.Repeat("true,", 16)+"true", ",")
				p.Limits[0].Key = strings.Split(strings.Repeat("'a',", 4)+"'a'", ",")
			},
			[]string{"spec.limits[0].when: 17 expressions: use at most 16", "spec.limits[0].key: 5 expressions: use at most 4"},
		},
		"overrides": {
			func(p *policy.Policy) {
				p.Limits[0].Overrides = []policy.Override{
					{Key: []string{"a", "b"}, Deny: true},
					{Key: []string{"a"}},
					{Key: []string{"a"}, Unlimited: true, Deny: true},
					{Key: []string{"a"}, Rate: &policy.Rate{Requests: 1, Per: "1d"}},
				}
			},
			[]string{
				"spec.limits[0].overrides[0].key: 2 patterns for a key of 1 parts",
				"spec.limits[0].overrides[1]: an override needs exactly one of",
				"spec.limits[0].overrides[2]: an override needs exactly one of",
				`spec.limits[0].overrides[3].rate.per: "1d": use a duration`,
			},
		},
		"too many overrides": {
			func(p *policy.Policy) { p.Limits[0].Overrides = make([]policy.Override, 257) }, []string{"spec.limits[0].overrides: 257 overrides: use at most 256"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := plain()
			tc.change(&p)
			faults := policy.Errors(policy.CompilePolicy(&p))
			if len(faults) != len(tc.want) {
				t.Fatalf("faults %v, want %d", faults, len(tc.want))
			}
			for i, f := range faults {
				if !strings.Contains(f.Detail(), tc.want[i]) || f.Error() != "shop/web: "+f.Detail() {
					t.Errorf("fault %q, want %q", f.Error(), tc.want[i])
				}
			}
			// What the manager says of one policy, the enforcer says of the document.
			_, err := policy.Compile(&policy.Document{Version: policy.Version, Policies: []policy.Policy{p}})
			if diff := cmp.Diff(faults, policy.Errors(err)); diff != "" {
				t.Errorf("Compile and CompilePolicy differ:\n%s", diff)
			}
		})
	}
}

func TestADocumentHasAPolicyOnce(t *testing.T) {
	a, b := plain(), plain()
	b.Domain = "other"
	_, err := policy.Compile(&policy.Document{Version: policy.Version, Policies: []policy.Policy{a, b}})
	if err == nil || !strings.Contains(err.Error(), "shop/web: metadata.name: the document has two policies of this name") {
		t.Errorf("error %v", err)
	}
}

func TestParsePer(t *testing.T) {
	for per, want := range map[string]struct {
		span     time.Duration
		calendar decide.Calendar
		err      string
	}{
		"1s": {span: time.Second}, "250ms": {span: 250 * time.Millisecond}, "1h30m": {span: 90 * time.Minute}, "1h1m1s1ms": {span: time.Hour + time.Minute + time.Second + time.Millisecond},
		"8784h": {span: 8784 * time.Hour}, "1ms": {span: time.Millisecond}, "00001s": {span: time.Second}, "1s1s": {span: 2 * time.Second},
		"Day": {calendar: decide.Day}, "Week": {calendar: decide.Week}, "Month": {calendar: decide.Month}, "Year": {calendar: decide.Year},
		"0s": {err: "from 1ms to 8784h"}, "8785h": {err: "from 1ms to 8784h"}, "99999h99999h99999h99999h": {err: "from 1ms to 8784h"},
		"": {err: "use a duration of"}, "1": {err: "use a duration of"}, "s": {err: "use a duration of"}, "1.5s": {err: "use a duration of"}, "-1s": {err: "use a duration of"},
		"1us": {err: "use a duration of"}, "1d": {err: "use a duration of"}, "100000s": {err: "use a duration of"}, "1s1s1s1s1s": {err: "use a duration of"}, "day": {err: "use a duration of"},
		"1hm": {err: "use a duration of"}, "1s ": {err: "use a duration of"},
	} {
		t.Run(per, func(t *testing.T) {
			span, calendar, err := policy.ParsePer(per)
			if want.err != "" {
				if err == nil || !strings.Contains(err.Error(), want.err) || !strings.Contains(err.Error(), fmt.Sprintf("%q", per)) {
					t.Errorf("error %v, want one that quotes it and says %q", err, want.err)
				}
				return
			}
			if err != nil || span.Duration() != want.span || calendar != want.calendar {
				t.Errorf("%v, %v, %v; want %v, %v", span.Duration(), calendar, err, want.span, want.calendar)
			}
		})
	}
}
