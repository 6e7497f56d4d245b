# One bridge without an uplink, and on it a network namespace for each node.
# shellcheck shell=bash disable=SC2154

# host_network makes the bridge. The unreachable route comes first and goes last, so
# that no packet of the cluster ever finds another way. It alone would not do: a
# local process that speaks to a Service needs a route before kube-proxy's rules
# are asked.
host_network() {
  ip route add unreachable "$everything"
  ip link add "$bridge" type bridge
  ip addr add "$host/24" dev "$bridge"
  ip link set "$bridge" up
  ip route add "$services" dev "$bridge"
  ip route add "$pods" dev "$bridge"
}

# node_network NODE NODES makes the namespace of a node. It routes to the pods of
# the others, and nowhere else.
node_network() {
  local n=$1 other net
  net=$(namespace "$n") # of the cable, too
  ip netns add "$net"
  ip link add "$net" type veth peer name eth0 netns "$net"
  ip link set "$net" master "$bridge"
  ip -n "$net" link set lo up
  ip -n "$net" addr add "$(node_ip "$n")/24" dev eth0
  ip -n "$net" link set eth0 up
  ip -n "$net" route add "$services" via "$host" # only so that kube-proxy's rules are asked
  for other in $(node_names "$2"); do
    [[ $other == "$n" ]] || ip -n "$net" route add "$(node_pods "$other")" via "$(node_ip "$other")"
  done
  ip route add "$(node_pods "$n")" via "$(node_ip "$n")"
  in_network "$n" sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
}

# in_network NODE COMMAND... is not `ip netns exec`, which would hide the cgroups.
in_network() { nsenter --net="/run/netns/$(namespace "$1")" "${@:2}"; }

remove_network() {
  local n
  for n in $(nodes_up); do ip netns del "$(namespace "$n")" 2>/dev/null || true; done
  ip link del "$bridge" 2>/dev/null || true # and with it its routes
  ip route del unreachable "$everything" 2>/dev/null || true
}

# cut NODE NODE drops what the pods of two nodes say to each other. The rules come
# before those of kube-proxy; nodes, probes and the API server notice nothing.
cut() { between -I "$@"; }
heal() { between -D "$@"; }

between() {
  in_network "$2" iptables "$1" FORWARD -s "$(node_pods "$3")" -j DROP
  in_network "$2" iptables "$1" FORWARD -d "$(node_pods "$3")" -j DROP
}
