#!/usr/bin/env bash
# Builds Kubernetes and etcd, pinned by go.mod beside this file: etcd,
# kube-apiserver and kubectl for `make run` and the integration tests, and with
# --all also what a cluster with nodes needs (hack/cluster).
#
#   hack/kube/build.sh [--all]    build what is missing; print the folder
#
# The folder is the only thing on standard output; progress goes to standard
# error. KUBEBUILDER_ASSETS, when set, names binaries that exist already: they
# are used as they are and nothing is built.
set -euo pipefail

if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0"
  exit 0
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=(etcd kubectl kube-apiserver)
took="5 minutes"
if [[ "${1:-}" == --all ]]; then
  tools+=(kube-controller-manager kube-scheduler kubelet kube-proxy)
  took="9 minutes"
fi

say() { printf '%s\n' "$*" >&2; }

if [[ -n "${KUBEBUILDER_ASSETS:-}" ]]; then
  for tool in "${tools[@]}"; do
    [[ -x "$KUBEBUILDER_ASSETS/$tool" ]] || {
      say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $tool: unset it to build one, or point it at a folder that has ${tools[*]}"
      exit 1
    }
  done
  printf '%s\n' "$KUBEBUILDER_ASSETS"
  exit 0
fi

version=$(awk '$1 == "k8s.io/kubernetes" {print $2; exit}' "$here/go.mod")
out="$root/bin/k8s/$version"
mkdir -p "$out"

# Two builds at once (make -j, two terminals) must not write over each other.
exec 9>"$out/.lock"
if command -v flock >/dev/null; then flock 9; fi

# What is there counts if it was built from these very versions. Times of files say
# nothing: a checkout sets them, and a cache restores them.
pinned=$(cat "$here/go.mod" "$here/go.sum" | git hash-object --stdin)
missing=()
for tool in "${tools[@]}"; do
  [[ -x "$out/$tool" && "$(cat "$out/.$tool.pinned" 2>/dev/null)" == "$pinned" ]] || missing+=("$tool")
done
if ((${#missing[@]})); then
  say "Building Kubernetes $version and etcd, once: about $took on two cores."
fi

# build TOOL compiles one binary and says every ten seconds that it still does.
build() {
  local tool=$1 began=$SECONDS pid pkg=k8s.io/component-base/version
  local main=k8s.io/kubernetes/cmd/$tool
  [[ $tool == etcd ]] && main=go.etcd.io/etcd/server/v3
  (cd "$here" && CGO_ENABLED=0 GOFLAGS='-mod=readonly -buildvcs=false -trimpath' go build \
    -ldflags "-s -w -X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=$(cut -d. -f2 <<<"$version")" \
    -o "$out/.$tool.new" "$main") >&2 9>&- &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    printf '\r  %-23s %4d s' "$tool" $((SECONDS - began)) >&2
    # `wait -n` with a timer of our own would be neater; bash has none.
    for _ in {1..10}; do kill -0 "$pid" 2>/dev/null && sleep 0.5; done
  done
  wait "$pid" || { say " failed"; exit 1; }
  mv "$out/.$tool.new" "$out/$tool"
  printf '%s\n' "$pinned" >"$out/.$tool.pinned"
  printf '\r  %-23s %4d s, done\n' "$tool" $((SECONDS - began)) >&2
}

for tool in "${missing[@]}"; do build "$tool"; done
printf '%s\n' "$out"
