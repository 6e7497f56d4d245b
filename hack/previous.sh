#!/usr/bin/env bash
# Builds what an earlier revision installs, with its own sources and Makefile: the
# images, install.yaml, and its samples in one file.
#
#   hack/previous.sh [REVISION]
#
# By default that is the newest tag before HEAD, or while there is none HEAD's
# parent. The folder is the only thing on standard output. It is kept until another
# revision is asked for.
set -euo pipefail

if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 0
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
wanted=${1:-$(git describe --tags --abbrev=0 HEAD~1 2>/dev/null || echo HEAD~1)}
revision=$(git rev-parse --quiet --verify "$wanted^{commit}") || {
  echo "previous: this clone has no $wanted: git fetch --deepen=1 gets the parent, or name another revision" >&2
  exit 1
}
out=$root/bin/previous/$revision
if [[ ! -d $out ]]; then
  rm -rf "$root/bin/previous"
  sources=$(mktemp -d)
  trap 'rm -rf "$sources"' EXIT
  git archive "$revision" | tar -x -C "$sources"
  KUBEBUILDER_ASSETS=$(hack/kube/build.sh)
  export KUBEBUILDER_ASSETS
  mkdir -p "$sources/bin"
  make -C "$sources" install-yaml images VERSION="previous-${revision:0:12}" REVISION="$revision" \
    IMAGES="--platforms=linux/$(go env GOARCH)" >&2
  "$KUBEBUILDER_ASSETS/kubectl" kustomize "$sources/config/samples" >"$sources/bin/samples.yaml"
  mkdir -p "$root/bin/previous"
  mv "$sources/bin" "$out"
fi
echo "$out"
