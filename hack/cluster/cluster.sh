#!/usr/bin/env bash
# shellcheck disable=SC2154
# A real Kubernetes with several nodes on this machine, for tests: without Docker,
# a registry, systemd or the internet. It needs root on Linux.
#
#   hack/cluster/cluster.sh run NODES COMMAND...   up, run the command, down
#   hack/cluster/cluster.sh preflight              say what this machine lacks; exits with 3 if it can never do
#   hack/cluster/cluster.sh install                have Debian install what it lacks, and make room for cgroups
#   hack/cluster/cluster.sh up [NODES]             start 3 nodes, or as many as told
#   hack/cluster/cluster.sh load ARCHIVE...        give every node these images
#   hack/cluster/cluster.sh down                   stop all of it; the logs stay
#
# What goes wrong in a cluster, on purpose (NAME is n1, n2, … or etcd,
# kube-apiserver, kube-controller-manager, kube-scheduler):
#
#   hack/cluster/cluster.sh kill NAME              without warning, as a crash would
#   hack/cluster/cluster.sh start NAME             again
#   hack/cluster/cluster.sh cut NODE NODE          no packets between the pods of two nodes
#   hack/cluster/cluster.sh heal NODE NODE         and again
#
# Everything is in bin/sluice-cluster, or CLUSTER_DIR/sluice-cluster: kubeconfig, logs,
# what the nodes keep. COMMAND finds KUBECONFIG and kubectl in its environment.
# README.md says how it is made.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
state=${CLUSTER_DIR:-$root/bin}/sluice-cluster
for part in common cgroups preflight network certificates control-plane nodes; do
  # shellcheck source=/dev/null
  source "$here/lib/$part.sh"
done

up() {
  local nodes=${1:-3} n
  preflight
  "$root/hack/kube/build.sh" --all >/dev/null
  rm -rf "$state"
  mkdir -p "$state/log"
  trap 'say "it did not come up, so it goes down; the logs are in $state/log"; down' EXIT
  host_network
  certificates
  for part in etcd kube-apiserver; do start_part "$part"; done
  await 120 "the API server answers" kubectl get --raw=/readyz
  for part in kube-controller-manager kube-scheduler; do start_part "$part"; done
  for n in $(node_names "$nodes"); do prepare_node "$n" "$nodes"; start_node "$n"; done
  ip route replace "$services" via "$(node_ip n1)" # the host reaches Services through the kube-proxy of n1
  (cd "$root" && go run ./hack/image --repository local.test --tags 1 --out "$state" ./hack/cluster/pause >/dev/null)
  for n in $(node_names "$nodes"); do await 60 "containerd of $n" ctr_of "$n" version; done
  load "$state/pause.tar"
  for n in $(node_names "$nodes"); do await 120 "$n is Ready" node_ready "$n"; done
  trap - EXIT
  say "up: KUBECONFIG=$state/kubeconfig"
}

load() {
  local n archive
  for archive; do
    for n in $(nodes_up); do ctr_of "$n" images import "$archive" >/dev/null; done
  done
}

down() {
  local n
  # shellcheck disable=SC2046
  kill_processes $(nodes_up) "${parts[@]}"
  await 15 "every process of the cluster ended" cgroups_empty || true # what is left is told, and the rest goes
  remove_network
  remove_cgroups
  for n in $(nodes_up); do cp -r "$state/$n/var/up/log/pods" "$state/log/$n-pods" 2>/dev/null || true; done
  find "$state" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf {} + 2>/dev/null || true
  say "down"
}

run() {
  local nodes=$1
  shift
  up "$nodes"
  trap down EXIT
  KUBECONFIG="$state/kubeconfig" PATH="$kube:$PATH" "$@"
}

usage() { sed -n '3,/^set /s/^# \{0,1\}//p' "$0"; }

is_node() { [[ $1 =~ ^n[0-9]+$ ]]; }

command=${1:-help}
shift || true
case $command in
  run | up | down | preflight | install | load | cut | heal) "$command" "$@" ;;
  kill) if is_node "$1"; then kill_node "$1"; else kill_processes "$1"; fi ;;
  start) if is_node "$1"; then start_node "$1"; else start_part "$1"; fi ;;
  help | --help | -h) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
