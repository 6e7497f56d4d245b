package main

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/internal/sim/table/scenario"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// forExact adds the row of what sharing exactly promises, in all cases of others in which no
// owner fails and each is reached. The goals of the others are those of Gossip: they are shown.
func forExact(rows []row) []row {
	broken := []string{"crash", "partition", "link"}
	var cases []scenario.Scenario
	for i := range rows {
		for k := range rows[i].measures {
			m := &rows[i].measures[k]
			m.held = false
			if !slices.Contains(broken, rows[i].id) {
				cases = append(cases, m.cases...)
			}
		}
	}
	slices.SortStableFunc(cases, func(a, b scenario.Scenario) int { return strings.Compare(a.Name, b.Name) })
	cases = slices.CompactFunc(cases, func(a, b scenario.Scenario) bool { return a.Name == b.Name })
	shifted, usual := split(cases, func(s *scenario.Scenario) bool { return s.Skew > 0 && s.Limit.Algorithm == policy.FixedWindow })
	above := measure{what: "tokens above the limit, in any stretch of time", of: (*scenario.Result).Above, goal: atMost(0).within(.001), held: true, cases: usual}
	byClock := measure{what: "the same of windows by an owner's wrong clock", of: (*scenario.Result).Above, cases: shifted}
	pauses, usual := split(cases, func(s *scenario.Scenario) bool { return strings.HasPrefix(s.Load.Name, "on and off") })
	part := measure{what: "part of what one exact limiter admits", of: (*scenario.Result).Part, goal: atLeast(.98), held: true, cases: usual}
	// What is lent when a client pauses is in no bucket, and that is full when it comes back.
	paused := measure{what: "the same of a load that is on and off", of: (*scenario.Result).Part, goal: atLeast(.98), cases: pauses}
	return append(rows, row{"above", "exactly, all cases but those of crash, partition and link", []measure{above, byClock, part, paused}})
}

func split(cases []scenario.Scenario, apart func(*scenario.Scenario) bool) (these, others []scenario.Scenario) {
	for _, s := range cases {
		if apart(&s) {
			these = append(these, s)
		} else {
			others = append(others, s)
		}
	}
	return these, others
}
