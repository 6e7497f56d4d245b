package controllers

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-dev/sluice/internal/version"
)

// metrics exports what the board says, and the version. Its labels are bounded:
// pools and reasons.
type metrics struct{ board *board }

var (
	policiesDesc = prometheus.NewDesc("sluice_pool_policies",
		"Policies of a pool, by the reason of their condition Accepted. Anything but Accepted wants somebody's attention.", []string{"pool", "reason"}, nil)
	enforcersDesc = prometheus.NewDesc("sluice_pool_enforcers",
		"Ready enforcers of a pool: programmed (they run the published document), lagging (they run another or none), or silent (they do not answer).", []string{"pool", "state"}, nil)
	buildDesc = prometheus.NewDesc("sluice_manager_build_info",
		"The version of this manager, and the commit that it was built from.", []string{"version", "revision"}, nil)
)

// Describe implements prometheus.Collector.
func (m metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{policiesDesc, enforcersDesc, buildDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	for pool, notes := range m.board.all() {
		if notes.judgment == nil {
			continue
		}
		reasons := map[string]int{}
		for _, v := range notes.judgment.verdicts {
			reasons[v.outcome.Reason]++
		}
		for reason, n := range reasons {
			gauge(policiesDesc, n, pool, reason)
		}
		if notes.observation == nil {
			continue
		}
		states := map[string]int{"programmed": 0, "lagging": 0, "silent": 0}
		for _, e := range notes.observation.enforcers {
			switch {
			case e.problem != "":
				states["silent"]++
			case e.digest == notes.judgment.digest:
				states["programmed"]++
			default:
				states["lagging"]++
			}
		}
		for state, n := range states {
			gauge(enforcersDesc, n, pool, state)
		}
	}
	gauge(buildDesc, 1, version.String(), version.Revision())
}
