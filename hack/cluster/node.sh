#!/usr/bin/env bash
# The first process of a node, in its own namespaces: node.sh NAME ADDRESS FOLDER BINARIES.
# It starts containerd, kubelet and kube-proxy, and reaps what pods leave behind.
set -euo pipefail
name=$1 address=$2 dir=$3 kube=$4
cd /
hostname "$name"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=$dir/tmp

# Pods get their volumes by way of mounts that are made later.
mount --make-rshared /
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock /run/netns /run/sysctl

# What is written to /var and /opt (logs of pods, state of plugins) stays with the node.
for folder in var opt; do
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$dir/$folder/up,workdir=$dir/$folder/work" "/$folder"
done

# kubelet sets these for the whole machine unless they are as it wants: it is shown
# files that are.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=/run/sysctl/${setting//[\/=]/.}
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done

containerd --config "$dir/containerd.toml" &
until ctr --address "$dir/containerd.sock" version >/dev/null 2>&1; do sleep 0.1; done
"$kube/kubelet" --config="$dir/kubelet.yaml" --kubeconfig="$dir/kubeconfig" --hostname-override="$name" --node-ip="$address" \
  --root-dir="$dir/kubelet" --cert-dir="$dir/kubelet/pki" --node-labels="topology.kubernetes.io/zone=zone-$name" &
"$kube/kube-proxy" --config="$dir/kube-proxy.yaml" &
while :; do
  sleep 3600 &
  wait $! || true
done
