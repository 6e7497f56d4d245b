package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	yamlreader "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/enforcer/internal/schema"
)

// located is a policy and where it was read: "FILE, document N".
type located struct {
	v1alpha1.RateLimitPolicy
	at string
}

// parser reads RateLimitPolicies from YAML and JSON.
type parser struct {
	schema *schema.Schema
	log    *slog.Logger
}

// parse returns the policies among the documents of one file, with defaults
// filled in, or everything that is wrong with them.
func (p *parser) parse(ctx context.Context, file string, content []byte) ([]located, error) {
	var policies []located
	var errs []error
	reader := yamlreader.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for n := 1; ; n++ {
		at := fmt.Sprintf("%s, document %d", file, n)
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return policies, errors.Join(errs...)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		found, err := p.document(ctx, at, document)
		policies = append(policies, found...)
		errs = append(errs, err)
	}
}

// document reads one YAML document; one of nothing but comments holds no policy.
func (p *parser) document(ctx context.Context, at string, text []byte) ([]located, error) {
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if string(asJSON) == "null" {
		return nil, nil
	}
	var object map[string]any
	if err := json.Unmarshal(asJSON, &object); err != nil {
		return nil, fmt.Errorf("%s: this is no Kubernetes object: %w", at, err)
	}
	return p.object(ctx, at, object)
}

func (p *parser) object(ctx context.Context, at string, object map[string]any) ([]located, error) {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	switch {
	case apiVersion == "" || kind == "":
		return nil, fmt.Errorf("%s: this is no Kubernetes object: give it an apiVersion and a kind", at)
	case kind == "List" || kind == p.schema.Kind+"List":
		return p.list(ctx, at, object)
	case group == v1alpha1.GroupVersion.Group && kind != "EnforcerPool":
		return p.policy(ctx, at, object)
	}
	p.log.Debug("object of another kind ignored", "at", at, "kind", kind)
	return nil, nil
}

// list reads the items of what `kubectl get -o yaml` writes.
func (p *parser) list(ctx context.Context, at string, object map[string]any) ([]located, error) {
	items, ok := object["items"].([]any)
	if !ok {
		return nil, fmt.Errorf("%s: items: write a list of objects", at)
	}
	var policies []located
	var errs []error
	for i, item := range items {
		at := fmt.Sprintf("%s, items[%d]", at, i)
		object, ok := item.(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: this is no object", at))
			continue
		}
		found, err := p.object(ctx, at, object)
		policies = append(policies, found...)
		errs = append(errs, err)
	}
	return policies, errors.Join(errs...)
}

// policy checks one RateLimitPolicy as the API server would when it is created.
func (p *parser) policy(ctx context.Context, at string, object map[string]any) ([]located, error) {
	if meta, ok := object["metadata"].(map[string]any); ok {
		if namespace, ok := meta["namespace"]; !ok || namespace == "" {
			meta["namespace"] = "default"
		}
		at = fmt.Sprintf("%s (%v/%v)", at, meta["namespace"], meta["name"])
	}
	if err := p.schema.Check(ctx, object); err != nil {
		return nil, prefix(at, err)
	}
	policy := located{at: at}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &policy.RateLimitPolicy); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if policy.Generation == 0 {
		policy.Generation = 1 // as of an object that was just created
	}
	return []located{policy}, nil
}

// prefix says of each of several errors where it is.
func prefix(at string, err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, fmt.Errorf("%s: %w", at, e))
		}
		return errors.Join(errs...)
	}
	return fmt.Errorf("%s: %w", at, err)
}

// nameOf returns the namespace and name of a policy.
func nameOf(l *located) types.NamespacedName {
	return types.NamespacedName{Namespace: l.Namespace, Name: l.Name}
}
