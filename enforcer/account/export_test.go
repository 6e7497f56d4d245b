package account

// ExpireBatch is how many counters Expire forgets under one lock.
const ExpireBatch = expireBatch
