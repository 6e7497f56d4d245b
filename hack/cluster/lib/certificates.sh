# Certificates and kubeconfigs, for a month.
# shellcheck shell=bash disable=SC2154

certificates() {
  local user
  mkdir -p "$state/pki"
  new_key ca
  quietly openssl req -x509 -new -key "$state/pki/ca.key" -subj /CN=sluice-cluster -days 30 -out "$state/pki/ca.crt"
  quietly openssl genrsa -out "$state/pki/service-accounts.key" 2048
  certificate kube-apiserver /CN=kube-apiserver "IP:$host,IP:${services%.0.0/16}.0.1,DNS:kubernetes.default.svc"
  certificate kube-apiserver-to-kubelet /O=system:masters/CN=kube-apiserver
  certificate admin /O=system:masters/CN=admin
  kubeconfig admin "$state/kubeconfig"
  for user in kube-controller-manager kube-scheduler kube-proxy; do
    certificate "$user" "/CN=system:$user"
    kubeconfig "$user" "$state/pki/$user.kubeconfig"
  done
}

# certificate NAME SUBJECT [ALTERNATIVES] makes NAME.key and NAME.crt.
certificate() {
  local name=$state/pki/$1
  new_key "$1"
  quietly openssl req -new -key "$name.key" -subj "$2" -out "$name.csr"
  quietly openssl x509 -req -in "$name.csr" -CA "$state/pki/ca.crt" -CAkey "$state/pki/ca.key" -CAcreateserial -days 30 \
    -extfile <(printf 'extendedKeyUsage=clientAuth,serverAuth\n%s\n' "${3:+subjectAltName=$3}") -out "$name.crt"
}

new_key() { quietly openssl ecparam -name prime256v1 -genkey -noout -out "$state/pki/$1.key"; }

# kubeconfig USER FILE
kubeconfig() {
  local user=$1
  render kubeconfig.yaml >"$2"
}

quietly() { "$@" 2>>"$state/log/openssl.log"; }
