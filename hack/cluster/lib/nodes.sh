# A node: one tree of processes with its own network, mounts and process IDs. When
# the first of them dies, so does the node.
# shellcheck shell=bash disable=SC2034,SC2154

# prepare_node NODE NODES lays out what the node is started with.
prepare_node() {
  local n=$1 dir=$state/$1 cni
  cni=$(cni_plugins)
  mkdir -p "$dir"/{kubelet,containerd,cni,tmp,plugins,var/up,var/work,opt/up,opt/work}
  make_cgroup "$n/system"
  node_network "$n" "$2"
  certificate "$n" "/O=system:nodes/CN=system:node:$n"
  kubeconfig "$n" "$dir/kubeconfig"
  render cni.conflist >"$dir/cni/10-sluice.conflist"
  render containerd.toml >"$dir/containerd.toml"
  render kubelet.yaml >"$dir/kubelet.yaml"
  render kube-proxy.yaml >"$dir/kube-proxy.yaml"
}

# kill_node NODE takes a node off the network first: when a machine is lost, nobody
# is left to say that its connections are.
kill_node() {
  ip link set "$(namespace "$1")" down
  kill_processes "$1"
}

# start_node NODE starts a node, again after a kill.
start_node() {
  ip link set "$(namespace "$1")" up
  launch "$1" "$1/system" nsenter --net="/run/netns/$(namespace "$1")" \
    unshare --mount --propagation private --uts --ipc --pid --fork --kill-child --mount-proc \
    bash "$here/node.sh" "$1" "$(node_ip "$1")" "$state/$1" "$kube"
}

node_ready() { [[ $(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]; }

# ctr_of NODE ARGUMENT... asks the containerd of a node.
ctr_of() { ctr --address "$state/$1/containerd.sock" --namespace k8s.io "${@:2}" </dev/null; }
