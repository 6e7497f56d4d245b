# What the cluster needs of this machine.
# shellcheck shell=bash disable=SC2016,SC2154

# preflight fails, with everything that is missing and what to do about it. Its status
# is 3 if this machine cannot run the cluster whatever is done.
preflight() {
  local missing=() never=() tool
  needs() { "${@:2}" >/dev/null 2>&1 || missing+=("$1"); }
  must() { "${@:2}" >/dev/null 2>&1 || never+=("$1"); }

  must "root: namespaces, cgroups and routes are made" test "$(id -u)" = 0
  while read -r tool; do missing+=("$tool: on Debian, hack/cluster/cluster.sh install"); done < <(missing_tools)
  if ((${#missing[@]} + ${#never[@]} == 0)); then # without those, the rest cannot be told
    must "CAP_SYS_ADMIN: a container of this machine needs it to mount and to make namespaces" unshare --mount --net --pid --fork true
    for tool in "${controllers[@]}"; do
      if [[ $unified ]]; then
        must "the controller $tool in $cgroups/cgroup.controllers" grep -qw "$tool" "$cgroups/cgroup.controllers"
      else
        must "cgroup v2 at $cgroups, or v1 with $tool at $cgroups/$tool" test -f "$cgroups/$tool/cgroup.procs"
      fi
    done
    for tool in "${trees[@]}"; do must "the right to write to $tool: a container of this machine needs to be privileged" test -w "$tool/cgroup.procs"; done
    [[ -z $unified ]] || needs "a topmost cgroup that can pass its controllers on, which one with processes cannot: hack/cluster/cluster.sh install moves them one down" may_pass_on
    must "overlay file systems in this kernel" grep -qw overlay /proc/filesystems
    must "bridge and veth devices in this kernel" unshare --net sh -c 'ip link add name try0 type bridge && ip link add name try1 type veth'
    must "address translation in this kernel (iptables -t nat)" unshare --net iptables -t nat -L
    needs "no cluster that is up, and no other use of $everything: hack/cluster/cluster.sh down" network_free
  fi
  needs "a folder outside of /var and /opt, which nodes see as their own: $state is none, set CLUSTER_DIR" eval '[[ $state != /var/* && $state != /opt/* ]]'
  needs "a shorter path than $state, for sockets: set CLUSTER_DIR" test "${#state}" -le 70

  ((${#missing[@]} + ${#never[@]} == 0)) && return
  say "this machine cannot run the cluster. It lacks:"
  printf '  - %s\n' "${never[@]}" "${missing[@]}" | sort -u >&2
  ((${#never[@]} == 0)) || return 3
  return 1
}

# missing_tools prints what is to be installed.
missing_tools() {
  local tool
  for tool in containerd ctr runc iptables ip nsenter unshare openssl sysctl; do
    command -v "$tool" >/dev/null || echo "$tool"
  done
  cni_plugins >/dev/null || echo "the CNI plugins bridge, host-local, loopback and portmap in /usr/lib/cni or /opt/cni/bin"
}

# install has Debian install it, and makes room for other cgroups.
install() {
  make_room
  [[ -z $(missing_tools) ]] && return
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    containerd runc containernetworking-plugins iptables iproute2 util-linux openssl procps
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
