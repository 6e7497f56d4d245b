# Sluice. `make` lists the targets. Nothing but Go, make, bash and git is needed.
SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -s -w $(foreach it,release=$(VERSION) commit=$(REVISION),-X github.com/sluice-dev/sluice/internal/version.$(it))
# The race detector needs a C compiler; without one the tests run without it.
RACE := $(shell command -v $${CC:-gcc} >/dev/null && echo -race)
LINT := bin/golangci-lint
ASSETS = $(shell hack/kube/build.sh)

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build kube ## Everything on this machine: API server, manager, three enforcers, a sample; Ctrl-C stops it
	@exec $(LOCAL) run

.PHONY: demo
demo: build kube ## The same unattended: prints a table, fails if a figure is wrong
	@exec $(LOCAL) demo

.PHONY: standalone
standalone: build ## Three enforcers from config/samples, no Kubernetes
	@exec bin/local/local $(PORTS) standalone

.PHONY: build
build: ## Build bin/manager, bin/enforcer and bin/kubectl-sluice, and what starts them here
	@mkdir -p bin/local
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	go build -trimpath -o bin/local/local ./hack/local

.PHONY: images
images: ## Container images of both for amd64 and arm64, with SBOMs, in bin/images; IMAGES=--help for more
	go run ./hack/image --version '$(VERSION)' --revision '$(REVISION)' --tags '$(VERSION),latest' $(IMAGES) ./cmd/manager ./cmd/enforcer

.PHONY: install-yaml
install-yaml: kube ## bin/install.yaml: config/default in one file, with the images of this VERSION
	$(ASSETS)/kubectl kustomize config/default | sed 's|\(ghcr.io/sluice-dev/[a-z]*\):latest|\1:$(VERSION)|' >bin/install.yaml

##@ Check

.PHONY: test
test: kube ## Unit, race and integration tests against a real API server
	KUBEBUILDER_ASSETS="$(ASSETS)" go test $(RACE) -timeout 20m ./...
	go test -timeout 20m ./enforcer/account ./enforcer/engine ./enforcer/lease ./enforcer/internal/sim/table/scenario # what the race detector changes: memory, allocations, and time
	cd hack/install && KUBEBUILDER_ASSETS="$(ASSETS)" go test ./... # helm lint, helm template, what Flux and Argo CD read

.PHONY: verify
verify: generate manifests tidy lint ## Fail if anything generated or tidied differs, or the linter complains
	@git diff --exit-code || { echo "verify: generated or tidied files differ from what is committed: commit them"; exit 1; }
	@test -z "$$(git status --porcelain)" || { git status --short; echo "verify: files that are not committed"; exit 1; }

.PHONY: lint
lint: $(LINT) ## Run golangci-lint, pinned in hack/tools
	$(LINT) run ./...
	cd hack/install && ../../$(LINT) run ./...

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (10s) each
	hack/fuzz.sh $(or $(FUZZTIME),10s)

.PHONY: bench
bench: ## Benchmarks of the core, as ratios within one run
	go test -run '^$$' -bench . -benchmem ./enforcer/...

.PHONY: sim
sim: ## The sharing goals in simulation, as a table; SIM=--short for a minute's worth, SIM=--help for more
	go run ./enforcer/internal/sim/table $(SIM)

.PHONY: keys
keys: ## A million clients of exact limits on a thousand enforcers, in simulation (2 minutes, 4 GB)
	go test -count 1 -timeout 20m -run SharesTheKeysEvenly -v ./enforcer/lease -nodes 1000 -keys 1000000

.PHONY: accuracy
accuracy: build ## What 3 and 10 real enforcers admit, to their limits (19 minutes); BENCH=--help for more
	go build -trimpath -o bin/local/bench ./hack/bench
	@exec bin/local/bench accuracy --check $(BENCH)

.PHONY: cost
cost: build ## What a decision, an idle pool, its gossip and exact sharing cost (8 minutes); BENCH=--help for more
	go build -trimpath -o bin/local/bench ./hack/bench
	@exec bin/local/bench cost --check $(BENCH)

.PHONY: scale
scale: build kube ## How long a change takes among 1,000 policies, and the manager's memory with 10,000 (5 minutes)
	@exec $(LOCAL) scale

.PHONY: e2e
e2e: build ## Install Sluice on a real cluster of three nodes, break things under load, upgrade (root on Linux); E2E='-test.run /kill' for some, FROM=REVISION to upgrade from
	hack/cluster/cluster.sh preflight
	hack/kube/build.sh --all >/dev/null
	$(MAKE) install-yaml images IMAGES=--platforms=linux/$(shell go env GOARCH)
	go test -c -tags e2e -o bin/local/e2e.test ./test/e2e
	export PREVIOUS=$$(hack/previous.sh $(FROM)) && cd test/e2e && \
		../../hack/cluster/cluster.sh run 3 ../../bin/local/e2e.test -test.v -test.timeout 30m $(E2E)

##@ Change

.PHONY: generate
generate: ## Deepcopy functions
	go tool controller-gen object paths=./api/...

.PHONY: manifests
manifests: ## CRDs from the types, and the chart's copies of config
	go tool controller-gen crd paths=./api/... output:crd:dir=config/crd/bases
	cp config/crd/bases/*.yaml charts/sluice/files/crd/
	cp config/rbac/manager.yaml config/rbac/users.yaml charts/sluice/files/rbac/

.PHONY: tidy
tidy: ## Tidy every module
	go mod tidy
	cd hack/install && go mod tidy
	cd hack/kube && go mod tidy
	cd hack/tools && go mod tidy

.PHONY: kube
kube: ## Build etcd, kube-apiserver and kubectl once (about 5 minutes), or use KUBEBUILDER_ASSETS
	@hack/kube/build.sh >/dev/null

PORTS = $(addprefix --base-port=,$(BASE_PORT))
LOCAL = bin/local/local $(PORTS) --assets "$(ASSETS)"

$(LINT): hack/tools/go.mod
	cd hack/tools && go build -o ../../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $(LINT)
