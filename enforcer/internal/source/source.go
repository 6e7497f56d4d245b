// Package source brings policy documents to an enforcer: from files, or from the
// ConfigMaps that the manager publishes. A source reports every new document and
// every failure to get one, and keeps on watching; what was in force stays in
// force meanwhile.
package source

import "github.com/sluice-dev/sluice/enforcer/policy"

// Update is what a source has learned. Exactly one of its fields is set.
type Update struct {
	// Document is to be in force from now on. Nobody changes it.
	Document *policy.Document

	// Err tells why the newest state of the source is not a document. The next
	// Update with a Document supersedes it.
	Err error
}
