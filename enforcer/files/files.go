// Package files reads the policies of files for programs that enforce nothing, in
// the way of an enforcer with --policies.
package files

import (
	"context"
	"log/slog"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/config/crd"
	"github.com/sluice-dev/sluice/enforcer/internal/source"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Load compiles the policies of a file, or of the files of a folder. The error
// names every file, document and field that is wrong.
func Load(ctx context.Context, path string) (*policy.Snapshot, error) {
	read, err := source.NewFiles(path, v1alpha1.DefaultPool, crd.RateLimitPolicies, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	document, err := read.Load(ctx)
	if err != nil {
		return nil, err
	}
	return policy.Compile(document)
}
