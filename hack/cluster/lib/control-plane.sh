# The control plane: four processes of this machine, on the bridge and on loopback.
# shellcheck shell=bash disable=SC2054,SC2154

# start_part NAME starts a process of the control plane, again after a kill.
start_part() {
  local name=$1 pki=$state/pki flags
  make_cgroup control-plane
  case $name in
    etcd) flags=(
      --data-dir="$state/etcd" --unsafe-no-fsync # nothing in it outlives the test
      --listen-client-urls=http://127.0.0.1:12379 --advertise-client-urls=http://127.0.0.1:12379
      --listen-peer-urls=http://127.0.0.1:12380 --initial-advertise-peer-urls=http://127.0.0.1:12380
      --initial-cluster=default=http://127.0.0.1:12380
    ) ;;
    kube-apiserver) flags=(
      --etcd-servers=http://127.0.0.1:12379 --bind-address="$host" --advertise-address="$host" --secure-port=6443
      --service-cluster-ip-range="$services" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction
      --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/kube-apiserver.crt" --tls-private-key-file="$pki/kube-apiserver.key"
      --service-account-issuer=https://kubernetes.default.svc
      --service-account-key-file="$pki/service-accounts.key" --service-account-signing-key-file="$pki/service-accounts.key"
      --kubelet-client-certificate="$pki/kube-apiserver-to-kubelet.crt" --kubelet-client-key="$pki/kube-apiserver-to-kubelet.key"
      --kubelet-preferred-address-types=InternalIP
      --enable-aggregator-routing # it runs beside no kube-proxy: Services are resolved by itself
      --default-not-ready-toleration-seconds=10 --default-unreachable-toleration-seconds=10 # how long pods stay on a dead node, instead of 300
    ) ;;
    kube-controller-manager) flags=(
      --kubeconfig="$pki/$name.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false
      --use-service-account-credentials --root-ca-file="$pki/ca.crt" --service-account-private-key-file="$pki/service-accounts.key"
      --allocate-node-cidrs=false --flex-volume-plugin-dir="$state/flex"
      --node-monitor-period=1s --node-monitor-grace-period=16s # until a silent node is NotReady, instead of 50 s
    ) ;;
    kube-scheduler) flags=(--kubeconfig="$pki/$name.kubeconfig" --bind-address=127.0.0.1 --leader-elect=false) ;;
    *) say "$name is no node and no part of the control plane"; return 2 ;;
  esac
  launch "$name" control-plane "$kube/$name" "${flags[@]}"
}
