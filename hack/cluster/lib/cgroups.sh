# Cgroups: with v2 one tree that has all controllers, with v1 a tree for each.
# shellcheck shell=bash disable=SC2034,SC2154

cgroups=/sys/fs/cgroup
if [[ $(stat -fc %T $cgroups) == cgroup2fs ]]; then
  unified=yes
  controllers=(cpu cpuset memory pids)
  trees=("$cgroups")
else
  unified=
  controllers=(cpu cpuacct cpuset memory devices freezer blkio pids systemd)
  trees=("${controllers[@]/#/$cgroups/}")
fi

# make_cgroup NAME: processes go into cgroups without others below only, which v2 wants.
make_cgroup() {
  local tree
  for tree in "${trees[@]}"; do mkdir -p "$tree/$group/$1"; done
  if [[ $unified ]]; then pass_on "$1"; else give_processors "$1"; fi
}

# pass_on NAME has every cgroup above one pass its controllers on: those that are needed,
# and two more that kubelet wants if the machine has them.
pass_on() {
  local at=$cgroups step controller
  for step in $group ${1//\// }; do
    for controller in "${controllers[@]}" io hugetlb; do
      grep -qw "$controller" "$at/cgroup.controllers" && echo "+$controller" >"$at/cgroup.subtree_control"
    done
    at=$at/$step
  done
}

# may_pass_on says whether the topmost cgroup can do so: that of a container with
# processes in it cannot.
may_pass_on() {
  local controller
  [[ -e $cgroups/cgroup.type && -n $(<"$cgroups/cgroup.procs") ]] || return 0
  for controller in "${controllers[@]}"; do grep -qw "$controller" "$cgroups/cgroup.subtree_control" || return 1; done
}

# make_room moves the processes of a container one down, as Docker in Docker does.
make_room() {
  if [[ -z $unified ]] || may_pass_on; then return; fi
  mkdir -p "$cgroups/init"
  xargs -rn1 <"$cgroups/cgroup.procs" >"$cgroups/init/cgroup.procs" || true # some may have ended
}

# give_processors NAME: with v1 a new cpuset has no processors and no memory, and takes no
# process until it is given some.
give_processors() {
  local up=$cgroups/cpuset at step
  for step in $group ${1//\// }; do
    at=$up/$step
    cat "$up/cpuset.cpus" >"$at/cpuset.cpus"
    cat "$up/cpuset.mems" >"$at/cpuset.mems"
    up=$at
  done
}

# Beside a v1 tree runc may use others, such as /sys/fs/cgroup/unified.
cgroups_empty() { [[ -z $(find $cgroups/"$group" $cgroups/*/"$group" -name cgroup.procs -exec cat {} + 2>/dev/null) ]]; }
remove_cgroups() { find $cgroups/"$group" $cgroups/*/"$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; }
