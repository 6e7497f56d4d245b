//go:build e2e

package e2e

import (
	"time"
)

// away is how long what was stopped stays away: longer than enforcers remember what
// those whom they cannot reach said last.
const away = 12 * time.Second
