package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/enforcer/requestjson"
	"github.com/sluice-dev/sluice/plugin"
)

var explainCommand = command{
	name: "explain",
	usage: `Says of every limit of a domain whether it applies to a request, and why: the
value of each condition, the key that tells the client, the override that
matched, the rate and the cost. No counter is looked at.

Usage:
  kubectl sluice explain POLICY [flags]           the limits of the policy's domain
  kubectl sluice explain --domain DOMAIN [flags]  those of a domain
  kubectl sluice explain -f PATH [flags]          those of files, without a cluster

Examples:
  kubectl sluice explain storefront -n shop -X POST --path '/api/orders?page=2' -H 'X-Api-Key: alice'
  kubectl sluice explain --domain envoy --descriptor generic_key=checkout,user=alice
  kubectl sluice explain -f config/samples/overrides.yaml -H 'X-Api-Key: acme'
`,
	read: func(set *pflag.FlagSet) func([]string) (plugin.Command, error) {
		q, files := readQuestion(set), set.StringP("filename", "f", "", "`path` of a file, or a folder of files, with RateLimitPolicies to answer by, in place of those in force")
		return func(args []string) (plugin.Command, error) {
			question, err := q(args)
			return plugin.Explain{Question: question, Files: *files}, err
		}
	},
}

var tryCommand = command{
	name: "try",
	usage: `Asks every enforcer what it would answer to a request now: whether it would be
admitted, which limit decides, and what would be left. Nothing is charged.

Usage:
  kubectl sluice try POLICY [flags]           the request goes to the policy's domain
  kubectl sluice try --domain DOMAIN [flags]

Examples:
  kubectl sluice try storefront -n shop --path /api/orders -H 'X-Api-Key: alice'
  kubectl sluice try --enforcer http://127.0.0.1:9090 --domain storefront -H 'X-Api-Key: alice' --cost 5
`,
	read: func(set *pflag.FlagSet) func([]string) (plugin.Command, error) {
		q := readQuestion(set)
		return func(args []string) (plugin.Command, error) {
			question, err := q(args)
			return plugin.Try{Question: question}, err
		}
	},
}

// readQuestion declares the flags that describe a request, as curl has them.
func readQuestion(set *pflag.FlagSet) func(args []string) (plugin.Question, error) {
	var q plugin.Question
	var cost int64
	var headers, query, descriptors []string
	r := &q.Request
	set.StringVar(&r.Domain, "domain", "", "`domain` that the request goes to, in place of that of a policy")
	set.StringVarP(&r.Method, "method", "X", "", "`method` of the request (default GET)")
	set.StringVar(&r.Path, "path", "", "`path` of the request; what follows a '?' is its query (default /)")
	set.StringVar(&r.Host, "host", "", "`host` that it goes to")
	set.StringArrayVarP(&headers, "header", "H", nil, "header `field`, as 'Name: value'; several times for several")
	set.StringArrayVar(&query, "query", nil, "query `parameter`, as name=value; several times for several")
	set.StringVar(&r.Source.Address, "source", "", "`address` of the client")
	set.StringArrayVar(&descriptors, "descriptor", nil, "a descriptor of Envoy's rate limit protocol: its `entries`, as name=value, separated by commas; several times for several descriptors")
	set.Int64Var(&cost, "cost", 1, "`tokens` that the request takes of limits without a cost of their own")
	return func(args []string) (plugin.Question, error) {
		if err := atMost(args, 1, "POLICY"); err != nil {
			return q, err
		}
		if q.Policy = strings.Join(args, ""); set.Changed("cost") {
			r.Cost = &cost
		}
		return q, describe(&r.Request, headers, query, descriptors)
	}
}

// describe completes the request. What has descriptors and nothing else is a call
// of Envoy's protocol, and no HTTP request.
func describe(r *requestjson.Request, headers, query, descriptors []string) (err error) {
	path, search, _ := strings.Cut(r.Path, "?")
	if r.Query, err = parameters(search, query); err != nil {
		return err
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fmt.Errorf("-H %q: write 'Name: value'", h)
		}
		put(&r.Headers, strings.TrimSpace(name), strings.TrimSpace(value))
	}
	for _, d := range descriptors {
		var entries []requestjson.Entry
		for entry := range strings.SplitSeq(d, ",") {
			name, value, ok := strings.Cut(entry, "=")
			if !ok {
				return fmt.Errorf("--descriptor %q: write name=value, and more of them after commas", d)
			}
			entries = append(entries, requestjson.Entry{Key: name, Value: value})
		}
		r.Descriptors = append(r.Descriptors, requestjson.Descriptor{Entries: entries})
	}
	if len(r.Descriptors) > 0 && r.Method+r.Path+r.Host+r.Source.Address == "" && r.Query == nil && r.Headers == nil {
		return nil
	}
	if r.Path = path; path == "" {
		r.Path = "/"
	}
	if r.Method = strings.ToUpper(r.Method); r.Method == "" {
		r.Method = "GET"
	}
	return nil
}

// parameters joins what follows the '?' of a path, and what --query says. Of a
// repeated parameter the first counts.
func parameters(search string, query []string) (all map[string]string, err error) {
	values, err := url.ParseQuery(search)
	if err != nil {
		return nil, fmt.Errorf("--path: its query: %w", err)
	}
	for name := range values {
		put(&all, name, values.Get(name))
	}
	for _, q := range query {
		name, value, ok := strings.Cut(q, "=")
		if !ok {
			return nil, fmt.Errorf("--query %q: write name=value", q)
		}
		put(&all, name, value)
	}
	return all, nil
}

// put adds to a map what is not there yet.
func put(all *map[string]string, name, value string) {
	if *all == nil {
		*all = map[string]string{}
	}
	if _, there := (*all)[name]; !there {
		(*all)[name] = value
	}
}
