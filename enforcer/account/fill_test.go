package account_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/account"
	"github.com/sluice-dev/sluice/enforcer/limit"
	"github.com/sluice-dev/sluice/enforcer/share"
)

func TestFill(t *testing.T) {
	for name, c := range map[string]struct {
		nodes, taken int
		told         int64 // to the home, in all
	}{
		"a node that is alone":                          {1, 4, 0},
		"a node that has taken little, and told nobody": {3, 1, -4},
		"a node that has taken all":                     {3, 5, 0},
		"a node that never heard of the counter":        {3, 0, -5},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, account.Options{})
			s.SetPool(c.nodes, delay)
			ref := meters(s, bucket(1, limit.Hour, 5))[0]
			for range c.taken {
				take(s, start, key(1), ref)
			}
			if !s.Fill(start, key(1), ref) || left(s, start, key(1), ref) != 5 {
				t.Errorf("%d left, want 5", left(s, start, key(1), ref))
			}
			var told []int64
			s.Changed(start, 1000, func(c *share.Counter) bool {
				if c.Settle(start); c.Due(start) {
					told = append(told, c.Report(start).Taken)
				}
				return true
			})
			if alone := c.nodes == 1; alone && len(told) > 0 || !alone && (len(told) != 1 || told[0] != c.told) {
				t.Errorf("the home is told %d, want %d", told, c.told)
			}
			if u := usage(s, 1); u.Admitted != int64(c.taken) || u.Limited != 0 {
				t.Errorf("usage %+v: what is given back is not used", u)
			}
			for range 5 {
				if !take(s, start, key(1), ref) {
					t.Fatal("a full counter denies")
				}
			}
			if take(s, start, key(1), ref) {
				t.Error("a counter was more than full")
			}
		})
	}
	s := newStore(t, account.Options{})
	if s.Fill(start, key(1), 7) {
		t.Error("a counter without a meter was filled")
	}
}
