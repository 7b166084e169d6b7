// Package judge asks those who read a bundle: the validators of the Operator Framework, its types, and the schemas of the CRDs. What a
// bundle of this project needs besides is checked by package olm.
package judge

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/api/pkg/validation"
	validator "github.com/operator-framework/api/pkg/validation/interfaces"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

var validators = validator.Validators{
	validation.ClusterServiceVersionValidator,
	validation.CustomResourceDefinitionValidator,
	validation.BundleValidator,
	validation.OperatorHubValidator,
	validation.ObjectValidator,
}

// Bundle returns what the judges have against the bundle in a directory. Their warnings count.
func Bundle(directory string) ([]string, error) {
	bundle, err := manifests.GetBundleFromDir(filepath.Join(directory, "manifests"))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		for _, one := range append(result.Errors, result.Warnings...) {
			found = append(found, one.Error())
		}
	}
	unknown, err := unknownFields(directory)
	if err != nil {
		return nil, err
	}
	found = append(found, unknown...)
	var examples []manifest.Object
	if err := json.Unmarshal([]byte(bundle.CSV.Annotations["alm-examples"]), &examples); err != nil {
		return nil, fmt.Errorf("failed to parse alm-examples: %w", err)
	}
	for _, crd := range bundle.V1CRDs {
		wrong, err := checkExamples(crd, examples)
		if err != nil {
			return nil, err
		}
		found = append(found, wrong...)
	}
	return found, nil
}

// unknownFields returns what OLM's type of a CSV does not know: an API server would drop it.
func unknownFields(directory string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(directory, "manifests", "*.clusterserviceversion.yaml"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("%s has %d CSVs: %w", directory, len(files), err)
	}
	objects, err := manifest.Read(files[0])
	if err != nil {
		return nil, err
	}
	for _, deployment := range manifest.Maps(objects[0], "spec", "install", "spec", "deployments") {
		for _, container := range manifest.Maps(deployment, "spec", "template", "spec", "containers") {
			// Kubernetes 1.30 has it. The types here are older.
			delete(manifest.Map(container, "lifecycle", "preStop"), "sleep")
		}
	}
	text, err := manifest.Print(objects...)
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(text, &v1alpha1.ClusterServiceVersion{}); err != nil {
		return []string{"the CSV: " + err.Error()}, nil
	}
	return nil, nil
}

// checkExamples checks the examples of a kind: there is one, its fields exist, and their values are valid.
func checkExamples(crd *apiextensionsv1.CustomResourceDefinition, examples []manifest.Object) ([]string, error) {
	var found []string
	seen := false
	for _, version := range crd.Spec.Versions {
		internal := &apiextensions.CustomResourceValidation{}
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(version.Schema, internal, nil); err != nil {
			return nil, err
		}
		structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
		if err != nil {
			return nil, err
		}
		check, _, err := schemavalidation.NewSchemaValidator(internal)
		if err != nil {
			return nil, err
		}
		for _, example := range examples {
			if manifest.Kind(example) != crd.Spec.Names.Kind || manifest.Text(example, "apiVersion") != crd.Spec.Group+"/"+version.Name {
				continue
			}
			seen = true
			for _, wrong := range schemavalidation.ValidateCustomResource(nil, example, check) {
				found = append(found, fmt.Sprintf("the example %s: %v", manifest.Title(example), wrong))
			}
			pruned := manifest.Copy(example)
			pruning.Prune(pruned, structural, true)
			if !reflect.DeepEqual(pruned, example) {
				found = append(found, fmt.Sprintf("the example %s has fields that the CRD does not have", manifest.Title(example)))
			}
		}
	}
	if !seen {
		found = append(found, "there is no example of "+strings.ToLower(crd.Name))
	}
	return found, nil
}
