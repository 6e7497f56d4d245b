# Names, addresses and processes.
# shellcheck shell=bash disable=SC2034,SC2154

# 198.18.0.0/15 is set aside for tests of networks (RFC 2544): nothing of the
# cluster has a route to anywhere else, and nothing else has one to it.
everything=198.18.0.0/15
pods=198.18.0.0/17        # node i has 198.18.i.0/24
services=198.19.0.0/16
host=198.18.255.1         # the control plane; node i is 198.18.255.(i+1)
bridge=sluice0

parts=(kube-scheduler kube-controller-manager kube-apiserver etcd)
group=sluice-cluster      # the cgroup of everything that is started here
kube=${KUBEBUILDER_ASSETS:-$root/bin/k8s/$(awk '$1 == "k8s.io/kubernetes" {print $2; exit}' "$root/hack/kube/go.mod")}

node_names() { seq -f 'n%.0f' "$1"; }
nodes_up() { find "$state" -maxdepth 1 -name 'n[0-9]*' -type d -printf '%f\n' 2>/dev/null | sort; }
node_ip() { echo "198.18.255.$((${1#n} + 1))"; }
node_pods() { echo "198.18.${1#n}.0/24"; }
namespace() { echo "sluice-$1"; }
kubectl() { timeout 30 "$kube/kubectl" --kubeconfig "$state/kubeconfig" "$@" </dev/null; }

say() { printf '%6d s  %s\n' "$SECONDS" "$*" >&2; }

# await SECONDS WHAT COMMAND... repeats a command until it succeeds.
await() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || { say "not in time: $what"; return 1; }
    sleep 0.2
  done
  say "$what"
}

# render TEMPLATE prints a template with the variables of the caller.
render() {
  eval "cat <<END_OF_TEMPLATE
$(<"$here/templates/$1")
END_OF_TEMPLATE"
}

# launch NAME CGROUP COMMAND... starts a process that outlives this script. Its
# process ID is in NAME.pid.
launch() {
  local name=$1 cgroup=$2 tree
  shift 2
  (
    for tree in "${trees[@]}"; do echo "$BASHPID" >"$tree/$group/$cgroup/cgroup.procs"; done
    exec setsid "$@" >>"$state/log/$name.log" 2>&1 </dev/null
  ) &
  echo $! >"$state/$name.pid"
  disown # or this shell would tell of its end
}

# kill_processes NAME... kills what launch started, and returns when all of it is
# gone. A number that another process has by now is left alone: only ours are in our
# cgroup.
kill_processes() {
  local name pid killed=()
  for name; do
    pid=$(cat "$state/$name.pid" 2>/dev/null) || continue
    grep -q ":/$group/" "/proc/$pid/cgroup" 2>/dev/null || continue
    kill -KILL "$pid"
    killed+=("$pid")
  done
  await 30 "ended: $*" ended "${killed[@]}"
}

# ended says whether none of the processes runs. A zombie does not: it only waits for
# its parent to look.
ended() {
  local pid
  for pid; do
    ! grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" 2>/dev/null || return 1
  done
}
