package source

import "time"

// PollEvery makes f look at its files that often without having been told.
func (f *Files) PollEvery(d time.Duration) { f.poll = d }
