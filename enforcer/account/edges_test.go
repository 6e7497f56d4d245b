package account_test

import (
	"testing"

	"github.com/sluice-dev/sluice/enforcer/account"
)

func TestSweepHandsNoCounterOverTwice(t *testing.T) {
	s, ref := pooled(t, account.Options{})
	for i := range uint64(3) {
		takeN(s, start, key(i), ref, 20)
	}
	for k, times := range collect(sweep(s), start, 100, true) {
		if times > 1 {
			t.Errorf("%v was handed over %d times in one call", k, times)
		}
	}
}

// What is read at each decision is then on the same lines of every shard.
func TestAShardIsWholeCacheLines(t *testing.T) {
	if rest := account.ShardSize % 64; rest != 0 {
		t.Errorf("a shard of %d bytes is %d beyond whole lines of 64", account.ShardSize, rest)
	}
}
