package gossip_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/enforcer/gossip"
	"github.com/sluice-dev/sluice/enforcer/limit"
)

// A ledger is a bounded map; a sweep removes exactly the keys that are refused.
func TestLedgerIsABoundedMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const limitKeys = 60
		ledger, want := gossip.NewLedger(limitKeys), map[limit.Key]limit.Amount{}
		// Few homes and two segments, so that keys collide.
		keys := rapid.Custom(func(t *rapid.T) limit.Key {
			return limit.Key{Hi: rapid.Uint64Range(0, 1).Draw(t, "segment")<<56 | rapid.Uint64Range(1, 9).Draw(t, "hi"), Lo: rapid.Uint64Range(0, 9).Draw(t, "home") << 60}
		})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, own := keys.Draw(t, "key"), limit.Amount(rapid.Int64().Draw(t, "own"))
				if _, ok := want[k]; ok || len(want) < limitKeys {
					want[k] = own
				}
				ledger.Set(k, own, 1, 1)
			},
			"sweep": func(t *rapid.T) {
				drop := rapid.Uint64Range(1, 9).Draw(t, "drop")
				for range 40 {
					ledger.Sweep(50, func(k limit.Key) bool { return k.Hi&0xff != drop })
				}
				for k := range want {
					if k.Hi&0xff == drop {
						delete(want, k)
					}
				}
			},
			"": func(t *rapid.T) {
				if ledger.Len() != len(want) {
					t.Fatalf("Len() = %d, want %d", ledger.Len(), len(want))
				}
				for k, own := range want {
					if got, _, ok := ledger.Get(k); !ok || got != own {
						t.Fatalf("Get(%v) = %d, %v, want %d", k, got, ok, own)
					}
				}
			},
		})
	})
}

func TestLedgerTakesLittleMoreThanItsRecords(t *testing.T) {
	const keys = 200_000
	random := rand.New(rand.NewPCG(1, 2))
	ledger := gossip.NewLedger(keys)
	for range keys {
		ledger.Set(limit.Key{Hi: random.Uint64(), Lo: random.Uint64()}, 1, 1, 1)
	}
	if perKey := float64(ledger.Slots()) * 32 / keys; perKey > 60 {
		t.Errorf("%.0f bytes for each key, want at most 60", perKey)
	}
	for range keys {
		ledger.Sweep(100, func(limit.Key) bool { return false })
		if ledger.Len() == 0 {
			break
		}
	}
	ledger.Sweep(1<<20, func(limit.Key) bool { return true })
	if ledger.Len() != 0 || ledger.Slots() > 256*8 {
		t.Errorf("after a sweep of everything %d keys in %d slots are left", ledger.Len(), ledger.Slots())
	}
}
