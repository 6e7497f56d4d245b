// Package crd holds the generated CustomResourceDefinitions, for programs that
// validate as the API server does.
package crd

import _ "embed"

// RateLimitPolicies is the definition of RateLimitPolicy, in YAML.
//
//go:embed bases/sluice.dev_ratelimitpolicies.yaml
var RateLimitPolicies []byte

// EnforcerPools is the definition of EnforcerPool, in YAML.
//
//go:embed bases/sluice.dev_enforcerpools.yaml
var EnforcerPools []byte
