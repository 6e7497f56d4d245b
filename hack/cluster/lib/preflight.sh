# What the cluster needs of this machine.
# shellcheck shell=bash disable=SC2016,SC2154

# preflight fails, with everything that is missing and what to do about it.
preflight() {
  local missing=() tool
  needs() { "${@:2}" >/dev/null 2>&1 || missing+=("$1"); }

  needs "root: namespaces, cgroups and routes are made" test "$(id -u)" = 0
  for tool in containerd ctr runc iptables ip nsenter unshare openssl sysctl; do
    needs "$tool: on Debian, apt-get install containerd runc containernetworking-plugins iptables iproute2 util-linux openssl procps" command -v "$tool"
  done
  needs "the CNI plugins bridge, host-local, loopback and portmap in /usr/lib/cni or /opt/cni/bin" cni_plugins
  if [[ $(id -u) == 0 ]]; then
    needs "CAP_SYS_ADMIN: a container of this machine needs it to mount and to make namespaces" unshare --mount --net --pid --fork true
    for tool in "${controllers[@]}"; do
      needs "cgroup v1 with $tool at /sys/fs/cgroup/$tool: cgroup v2 is not supported yet" test -f "/sys/fs/cgroup/$tool/cgroup.procs"
    done
    needs "overlay file systems in this kernel" grep -qw overlay /proc/filesystems
    needs "bridge and veth devices in this kernel" unshare --net sh -c 'ip link add name try0 type bridge && ip link add name try1 type veth'
    needs "address translation in this kernel (iptables -t nat)" unshare --net iptables -t nat -L
    needs "no cluster that is up, and no other use of $everything: hack/cluster/cluster.sh down" network_free
  fi
  needs "a folder outside of /var and /opt, which nodes see as their own: $state is none, set CLUSTER_DIR" eval '[[ $state != /var/* && $state != /opt/* ]]'
  needs "a shorter path than $state, for sockets: set CLUSTER_DIR" test "${#state}" -le 70

  ((${#missing[@]} == 0)) && return
  say "this machine cannot run the cluster. It lacks:"
  printf '%s\n' "${missing[@]}" | sort -u | sed 's/^/  - /' >&2
  return 1
}

# cni_plugins prints the folder of the plugins that are needed.
cni_plugins() {
  local dir
  for dir in /usr/lib/cni /opt/cni/bin; do
    [[ -x $dir/bridge && -x $dir/host-local && -x $dir/loopback && -x $dir/portmap ]] && echo "$dir" && return
  done
  return 1
}

network_free() { ! ip -o addr show | grep -qE ' 198\.1[89]\.' && ! ip link show "$bridge"; }
