//go:build tools

// Package kube pins the control plane that `make run` and the integration
// tests use. It is a module of its own so that none of Kubernetes' server
// dependencies reach the module of Sluice.
package kube

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
