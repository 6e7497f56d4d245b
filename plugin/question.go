package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/enforcer/files"
	"github.com/sluice-dev/sluice/enforcer/inspect"
	"github.com/sluice-dev/sluice/enforcer/policy"
)

// Question is a request to ask about.
type Question struct {
	// Policy names the domain that it goes to, by a policy that has it; or
	// Request.Domain does.
	Policy string

	Request inspect.Request
}

// addressed returns the question's request with its domain, and who can answer.
func (q *Question) addressed(ctx context.Context, o *Options) (*inspect.Request, []enforcer, error) {
	if (q.Policy == "") == (q.Request.Domain == "") {
		return nil, nil, errors.New("say which limits to ask about: name a policy, or a --domain")
	}
	where, err := o.connect()
	if err != nil {
		return nil, nil, err
	}
	request := q.Request
	if q.Policy == "" {
		enforcers, err := where.pool(ctx)
		return &request, enforcers, err
	}
	t, err := where.find(ctx, q.Policy)
	if err != nil {
		return nil, nil, err
	}
	request.Domain = t.domain
	return &request, t.enforcers, nil
}

// inFiles returns the question's request with its domain, and the policies of files
// to answer it by.
func (q *Question) inFiles(ctx context.Context, o *Options, path string) (*inspect.Request, *policy.Snapshot, error) {
	snapshot, err := files.Load(ctx, path)
	if err != nil {
		return nil, nil, fmt.Errorf("-f %s:\n%w", path, err)
	}
	request := q.Request
	domains := map[string]bool{}
	for i := range snapshot.Document.Policies {
		p := &snapshot.Document.Policies[i]
		if q.Policy == "" || p.Name == q.Policy && (o.Namespace == "" || p.Namespace == o.Namespace) {
			domains[p.Domain] = true
		}
	}
	switch all := slices.Sorted(maps.Keys(domains)); {
	case request.Domain != "":
	case len(all) == 1:
		request.Domain = all[0]
	case len(all) == 0:
		return nil, nil, fmt.Errorf("-f %s has no policy %s: name another, or its -n NAMESPACE", path, q.Policy)
	default:
		return nil, nil, fmt.Errorf("-f %s has the domains %s: say which with --domain", path, strings.Join(all, ", "))
	}
	return &request, snapshot, nil
}
