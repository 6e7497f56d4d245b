package account

import "github.com/sluice-dev/sluice/enforcer/limit"

// ExpireBatch is how many counters Expire forgets under one lock.
const ExpireBatch = expireBatch

// Has says whether there is a counter for key.
func (s *Store) Has(key limit.Key) bool {
	sh := &s.shards[s.shardOf(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, e := sh.lookup(key)
	return e != nil
}

// ShardSize is the size of a shard in bytes.
const ShardSize = shardSize
