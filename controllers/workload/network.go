package workload

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// membersService lists the members of the pool, ready or not: enforcers find each
// other here, and the manager finds them. Each pod has one of the two admin ports. A
// Service has no number twice, so the second has one that means nothing: nobody asks a
// headless Service itself.
func (in Input) membersService() *corev1.Service {
	adminTLS := servicePort(portAdminTLS, numberAdminTLS, corev1.ProtocolTCP)
	adminTLS.AppProtocol = new("https")
	return &corev1.Service{ObjectMeta: in.meta(), Spec: corev1.ServiceSpec{
		ClusterIP: corev1.ClusterIPNone,
		Selector:  podLabels(in.Pool),
		Ports: []corev1.ServicePort{
			servicePort(portGossip, numberGossip, corev1.ProtocolUDP),
			servicePort(portGossipTCP, numberGossip, corev1.ProtocolTCP),
			servicePort(portAdmin, numberAdmin, corev1.ProtocolTCP),
			adminTLS,
		},
	}}
}

// frontService is what proxies ask.
func (in Input) frontService() *corev1.Service {
	rls, http := servicePort(portRLS, numberRLS, corev1.ProtocolTCP), servicePort(portHTTP, numberHTTP, corev1.ProtocolTCP)
	rls.AppProtocol, http.AppProtocol = new("kubernetes.io/h2c"), new("http")
	if tls := in.Pool.Spec.TLS; tls != nil && tls.Mode != v1alpha1.TLSPermissive {
		rls.AppProtocol, http.AppProtocol = new("https"), new("https")
	}
	return &corev1.Service{ObjectMeta: Meta(in.Pool, in.Pool.FrontService()), Spec: corev1.ServiceSpec{
		Selector: podLabels(in.Pool),
		Ports:    []corev1.ServicePort{rls, http},
	}}
}

// servicePort leads to the port of that name of a pod.
func servicePort(name string, number int32, protocol corev1.Protocol) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, Protocol: protocol, TargetPort: intstr.FromString(name)}
}

// networkPolicy lets those ask, and read metrics and state, who may; gossip is for
// the pool's own pods. What is asked of the API server and of DNS is not restricted.
// Ports are numbers: not every network plugin knows their names.
func (in Input) networkPolicy() *networkingv1.NetworkPolicy {
	tcp := corev1.ProtocolTCP
	var may v1alpha1.AllowedClients
	if a := in.Pool.Spec.AllowedClients; a != nil {
		may = *a
	}
	if may.Admin != nil {
		may.Admin = append([]networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: managerLabels()}}}, may.Admin...)
	}
	return &networkingv1.NetworkPolicy{ObjectMeta: in.meta(), Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *in.podSelector(),
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{
			{From: may.Proxies, Ports: []networkingv1.NetworkPolicyPort{policyPort(numberRLS, tcp), policyPort(numberHTTP, tcp)}},
			{From: may.Admin, Ports: []networkingv1.NetworkPolicyPort{policyPort(numberAdmin, tcp)}},
			{
				From:  []networkingv1.NetworkPolicyPeer{{PodSelector: in.podSelector()}},
				Ports: []networkingv1.NetworkPolicyPort{policyPort(numberGossip, corev1.ProtocolUDP), policyPort(numberGossip, tcp)},
			},
		},
	}}
}

func policyPort(number int32, protocol corev1.Protocol) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(number)), Protocol: &protocol}
}
