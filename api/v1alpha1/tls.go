package v1alpha1

// TLS has the ports of a pool's enforcers speak TLS: those for proxies and that for
// operators. What enforcers tell each other is sealed with the gossip key, always.
type TLS struct {
	// SecretName names a Secret of the pool's namespace, of the type kubernetes.io/tls,
	// as cert-manager makes them: tls.crt has the certificate, tls.key its key, and
	// ca.crt, if there is one, the authority that the manager verifies enforcers by. The
	// certificate is for NAME.NAMESPACE.svc of the Service that proxies ask, which of the
	// pool "default" is sluice.sluice-system.svc. A change reaches enforcers as fast as
	// the kubelet brings it, within about a minute, and none restarts.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName"`

	// Mode is Strict, or Permissive while proxies change over one by one: the ports rls
	// and http then take plain text as well, from anybody. A pool that goes from plain
	// text to Permissive, and to Strict when the last proxy speaks TLS, refuses nobody on
	// the way. By default it is Strict.
	//
	// +optional
	// +kubebuilder:validation:Enum=Strict;Permissive
	Mode TLSMode `json:"mode,omitempty"`

	// ClientValidation has the ports rls and http answer only proxies that show a
	// certificate (mTLS). The port admin answers everybody, as probes have none. By
	// default nobody is asked for one.
	//
	// +optional
	ClientValidation *ClientValidation `json:"clientValidation,omitempty"`
}

// TLSMode says what a port takes.
type TLSMode string

// Values of TLS.Mode.
const (
	TLSStrict     TLSMode = "Strict"
	TLSPermissive TLSMode = "Permissive"
)

// ClientValidation says whose certificates clients may show, in the words of the
// Gateway API.
type ClientValidation struct {
	// CACertificateRefs name what has the authorities, in PEM in the key ca.crt. A
	// certificate of any of them is good.
	//
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	CACertificateRefs []CACertificateRef `json:"caCertificateRefs"`
}

// CACertificateRef names a ConfigMap or a Secret of the pool's namespace.
type CACertificateRef struct {
	// Kind is ConfigMap or Secret.
	//
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind"`

	// Name is that of the object.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// AuthorityKey is the key of a Secret or ConfigMap that has certificates of
// authorities, as cert-manager and the Gateway API have it.
const AuthorityKey = "ca.crt"

// Authorities returns what names those that vouch for clients; nothing when clients
// show no certificate.
func (t *TLS) Authorities() []CACertificateRef {
	if t == nil || t.ClientValidation == nil {
		return nil
	}
	return t.ClientValidation.CACertificateRefs
}

// ServerName returns the name that the certificates of the pool's enforcers are for:
// that of the Service that proxies ask or, if somebody else runs the enforcers, of
// the one that lists them.
func (p *EnforcerPool) ServerName() string {
	service := p.Service()
	if p.BuiltByOperator() {
		service = p.FrontService()
	}
	return service + "." + p.Namespace + ".svc"
}
