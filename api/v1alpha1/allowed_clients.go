package v1alpha1

import networkingv1 "k8s.io/api/networking/v1"

// AllowedClients says who may reach the enforcers over the network, in the words of
// the `from` of a NetworkPolicy: a peer without a namespaceSelector is one in the
// pool's namespace. Each of the lists that is left out allows everybody. Who may
// ask may give back what a client used, too: by a negative cost at rls and http,
// with PUT /v1/keys at admin.
//
// +kubebuilder:validation:MinProperties=1
type AllowedClients struct {
	// Proxies may ask for decisions, at the ports rls and http.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Proxies []networkingv1.NetworkPolicyPeer `json:"proxies,omitempty"`

	// Admin may use the port admin: Prometheus, and the API server for kubectl sluice,
	// which comes from the addresses of the control plane. The manager always may.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Admin []networkingv1.NetworkPolicyPeer `json:"admin,omitempty"`
}
