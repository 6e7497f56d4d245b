// Package plugin is kubectl sluice: it asks the enforcers of a cluster, through the
// API server and with its user's own rights, what they do and why.
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// DefaultPoolNamespace is where the operator and its pools are installed.
const DefaultPoolNamespace = "sluice-system"

// Options say whom to ask, and how to write what they answer.
type Options struct {
	// Namespace is that of the policies; by default that of the kubeconfig's context,
	// and without a cluster any.
	Namespace string

	// Kubeconfig, Context, As and AsGroups are as kubectl has them. They say how to
	// reach the API server, and as whom.
	Kubeconfig, Context, As string
	AsGroups                []string

	// PoolNamespace is where the pools are. Pool is asked when no policy says which.
	PoolNamespace, Pool string

	// Enforcers are URLs of admin ports, to be asked in place of those of a cluster.
	Enforcers []string

	// CertificateAuthority is the path of what the certificates of Enforcers lead to, and
	// TLSServerName what they are for; by default what the system trusts, and the host.
	CertificateAuthority, TLSServerName string

	// Output is "" for people and "json" for programs.
	Output string

	// Out is written to. Terminal says that it shows colours and can be overwritten.
	Out      io.Writer
	Terminal bool
}

// Command is one thing to do: Explain, Try, Top or Keys.
type Command interface {
	run(ctx context.Context, o *Options) error
}

// Run does what a command says. Errors name what is wrong, and say what to do.
func Run(ctx context.Context, o Options, c Command) error {
	err := o.validate()
	if err == nil {
		err = c.run(ctx, &o)
	}
	if forbidden(err) {
		return fmt.Errorf("%w\nconfig/rbac/users.yaml has the roles that this takes, to be bound in the namespace of the policies and in %s", err, o.PoolNamespace)
	}
	return err
}

// validate says which options are wrong.
func (o *Options) validate() error {
	if o.Output != "" && o.Output != outputJSON {
		return fmt.Errorf("-o %s: use json, or leave it out", o.Output)
	}
	if len(o.Enforcers) == 0 && o.CertificateAuthority+o.TLSServerName != "" {
		return errors.New("--certificate-authority and --tls-server-name go with --enforcer: the kubeconfig has those of the API server")
	}
	return nil
}

const outputJSON = "json"

// writeJSON writes what a program reads.
func (o *Options) writeJSON(v any) error {
	e := json.NewEncoder(o.Out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// connect returns the pools to ask: those of a cluster, or the one that was named.
func (o *Options) connect() (pools, error) {
	if len(o.Enforcers) > 0 {
		return newDirect(o)
	}
	return newCluster(o)
}

// pools are where policies are enforced.
type pools interface {
	// find returns who enforces a policy.
	find(ctx context.Context, policy string) (*target, error)

	// pool returns the enforcers of Options.Pool.
	pool(ctx context.Context) ([]enforcer, error)

	// scopes returns who enforces a policy, or with "" those of the namespace, or of
	// all namespaces.
	scopes(ctx context.Context, policy string, all bool) ([]scope, error)
}

// scope is one pool, and which of its policies are meant.
type scope struct {
	enforcers []enforcer
	means     func(namespace, policy string) bool
	problem   error // why nobody can be asked
}

// target is a policy and who enforces it.
type target struct {
	namespace, policy, domain string
	enforcers                 []enforcer
}
