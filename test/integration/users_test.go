package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Who may view, edit or administer a namespace has the same rights over its policies
// and pools, and none elsewhere.
func TestWhatUsersMayDo(t *testing.T) {
	w := newEmptyWorld(t)
	for _, role := range w.userRoles() {
		defer w.gone(role)
		for _, of := range []string{"view", "edit", "admin"} {
			if role.Labels["rbac.authorization.k8s.io/aggregate-to-"+of] == "true" {
				w.create(&rbacv1.RoleBinding{
					ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, GenerateName: of + "-"},
					Subjects:   []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: of + "-" + w.shop}},
					RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
				})
			}
		}
	}
	for _, tc := range []struct {
		verb, resource, subresource string
		may                         []string
	}{
		{"list", "ratelimitpolicies", "", []string{"view", "edit", "admin"}},
		{"list", "enforcerpools", "", []string{"view", "edit", "admin"}},
		{"create", "ratelimitpolicies", "", []string{"edit", "admin"}},
		{"deletecollection", "ratelimitpolicies", "", []string{"edit", "admin"}},
		{"patch", "enforcerpools", "", []string{"edit", "admin"}},
		{"patch", "enforcerpools", "scale", []string{"edit", "admin"}},
		{"update", "ratelimitpolicies", "status", nil},
		{"update", "enforcerpools", "status", nil},
	} {
		for _, namespace := range []string{w.shop, w.operator} {
			for _, user := range []string{"view", "edit", "admin"} {
				want := namespace == w.shop && slices.Contains(tc.may, user)
				w.eventually("rights are known", func() error {
					review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
						User: user + "-" + w.shop,
						ResourceAttributes: &authorizationv1.ResourceAttributes{
							Namespace: namespace, Verb: tc.verb, Group: v1alpha1.GroupVersion.Group, Resource: tc.resource, Subresource: tc.subresource,
						},
					}}
					w.create(review)
					if review.Status.Allowed != want {
						return fmt.Errorf("%s may %s %s/%s in %s: %v", user, tc.verb, tc.resource, tc.subresource, namespace, review.Status.Allowed)
					}
					return nil
				})
			}
		}
	}
}

// userRoles creates the ClusterRoles of config/rbac/users.yaml.
func (w *world) userRoles() (all []*rbacv1.ClusterRole) {
	w.Helper()
	text, err := os.ReadFile("../../config/rbac/users.yaml")
	if err != nil {
		w.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		role := &rbacv1.ClusterRole{}
		if err := yaml.UnmarshalStrict([]byte(document), role); err != nil {
			w.Fatal(err)
		}
		if role.Kind != "ClusterRole" {
			continue
		}
		w.create(role)
		all = append(all, role)
	}
	return all
}
