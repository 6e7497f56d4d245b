// Package schema checks an object against a CustomResourceDefinition in the way
// that the Kubernetes API server does, and with its code, so that a machine
// without an API server refuses the same files with the same words.
package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Schema is one version of one CustomResourceDefinition. Safe for concurrent
// use. Make one with New.
type Schema struct {
	APIVersion, Kind string

	structural *structural.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

// New reads a CustomResourceDefinition in YAML and takes the version that it
// stores.
func New(crd []byte) (*Schema, error) {
	var def apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd, &def); err != nil {
		return nil, fmt.Errorf("CustomResourceDefinition: %w", err)
	}
	i := slices.IndexFunc(def.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Storage })
	if i < 0 || def.Spec.Versions[i].Schema == nil || def.Spec.Versions[i].Schema.OpenAPIV3Schema == nil {
		return nil, fmt.Errorf("CustomResourceDefinition %q has no stored version with a schema", def.Name)
	}
	version := def.Spec.Versions[i]
	var props apiextensions.JSONSchemaProps
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &props, nil)
	if err != nil {
		return nil, fmt.Errorf("CustomResourceDefinition %q: %w", def.Name, err)
	}
	s := &Schema{APIVersion: def.Spec.Group + "/" + version.Name, Kind: def.Spec.Names.Kind}
	if s.structural, err = structural.NewStructural(&props); err != nil {
		return nil, fmt.Errorf("CustomResourceDefinition %q: %w", def.Name, err)
	}
	if s.values, _, err = validation.NewSchemaValidator(&props); err != nil {
		return nil, fmt.Errorf("CustomResourceDefinition %q: %w", def.Name, err)
	}
	s.rules = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	return s, nil
}

// Check fills the defaults into an object that is being created, drops its
// status, and returns everything that the API server would refuse it for, one
// error for each field. The object must have a namespace.
func (s *Schema) Check(ctx context.Context, object map[string]any) error {
	if object["apiVersion"] != s.APIVersion || object["kind"] != s.Kind {
		return fmt.Errorf("this is %v %v: use %s %s", object["apiVersion"], object["kind"], s.APIVersion, s.Kind)
	}
	if unknown := s.unknownFields(object); unknown != nil {
		return unknown
	}
	defaulting.Default(object, s.structural)
	delete(object, "status")

	errs := metadata(object)
	errs = append(errs, validation.ValidateCustomResource(nil, object, s.values)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	// Like the API server: rules are for objects of the right shape.
	if !slices.ContainsFunc(errs, misshapen) {
		broken, _ := s.rules.Validate(ctx, nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, broken...)
	}
	return join(errs)
}

// unknownFields names the fields that the schema does not have. They would be
// dropped in silence, and with them what their author meant.
func (s *Schema) unknownFields(object map[string]any) error {
	_, _, unknown, err := objectmeta.GetObjectMetaWithOptions(object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	unknown = append(unknown, pruning.PruneWithOptions(object, s.structural, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	errs := make([]error, len(unknown))
	for i, path := range unknown {
		errs[i] = fmt.Errorf("unknown field %q", path)
	}
	return errors.Join(errs...)
}

func metadata(object map[string]any) field.ErrorList {
	path := field.NewPath("metadata")
	meta, found, err := objectmeta.GetObjectMeta(object, false)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, object["metadata"], err.Error())}
	case !found:
		return field.ErrorList{field.Required(path.Child("name"), "give the object a name")}
	}
	return apivalidation.ValidateObjectMeta(meta, true, apivalidation.NameIsDNSSubdomain, path)
}

// misshapen says that an error concerns the shape of an object, without which no
// rule can be evaluated.
func misshapen(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	}
	return false
}

// join makes one error of many, each said once.
func join(list field.ErrorList) error {
	var errs []error
	seen := map[string]bool{}
	for _, err := range list {
		if text := err.Error(); !seen[text] {
			seen[text] = true
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
