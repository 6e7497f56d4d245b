package workload

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// serviceAccount is whom the pods act as.
func (in Input) serviceAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: in.meta()}
}

// role lets enforcers read their pool's document and find their peers. The manager
// can grant no more than it may do itself: config/rbac/manager.yaml has the same.
func (in Input) role() *rbacv1.Role {
	read := []string{"get", "list", "watch"}
	return &rbacv1.Role{ObjectMeta: in.meta(), Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: read},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
	}}
}

func (in Input) roleBinding() *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: in.meta(),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: Name(in.Pool)},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: Name(in.Pool), Namespace: in.Pool.Namespace}},
	}
}
