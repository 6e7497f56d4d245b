#!/usr/bin/env bash
# Runs every fuzz target of the module for a while each.
#
#   hack/fuzz.sh [TIME]      TIME as `go test -fuzztime` takes it; default 10s
#
# A crash leaves its input in the package's testdata/fuzz: commit it with the fix.
set -euo pipefail

if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 0
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file func; do
  target=${func#func }
  printf '%s %s\n' "$(dirname "$file")" "$target"
  # An input that reaches something new is made small first: by default that may take all the time.
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-10s}" -fuzzminimizetime 1s "$(dirname "$file")" </dev/null
done
