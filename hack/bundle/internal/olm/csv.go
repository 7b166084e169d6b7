package olm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

// fillCSV adds what comes from the manifests and from the options.
func (b *Bundle) fillCSV(source Source, deployments []object, permissions []any) error {
	var owned, internal []any
	var examples []any
	for _, crd := range b.CRDs {
		one := describedIn(source.CSV, manifest.Name(crd))
		if one == nil {
			return fmt.Errorf("the CSV does not describe the owned kind %s", manifest.Name(crd))
		}
		owned = append(owned, one)
		example := exampleOf(source.Examples, crd)
		if example == nil {
			return fmt.Errorf("there is no example of %s", manifest.Name(crd))
		}
		examples = append(examples, example)
		// Kinds without fields in their spec are reports: the console must not offer to create one.
		if len(manifest.Map(schemaOf(crd), "properties", "spec", "properties")) == 0 {
			internal = append(internal, manifest.Name(crd))
		}
	}
	spec := manifest.Map(b.CSV, "spec")
	spec["customresourcedefinitions"] = object{"owned": owned}
	spec["version"] = b.Options.Version
	if b.Options.Replaces != "" {
		spec["replaces"] = Package + ".v" + b.Options.Replaces
	}
	spec["icon"] = icon(source.Icon)
	spec["relatedImages"] = relatedImages(deployments)
	spec["install"] = object{"strategy": "deployment", "spec": object{
		"clusterPermissions": permissions,
		"deployments":        inCSV(deployments),
	}}
	return b.annotate(source, examples, internal)
}

// annotate fills metadata: who may rely on annotations are the console, catalogs and their validators.
func (b *Bundle) annotate(source Source, examples, internal []any) error {
	metadata := manifest.Map(b.CSV, "metadata")
	metadata["name"] = b.Options.Name()
	annotations := manifest.Map(metadata, "annotations")
	annotations["createdAt"] = b.Options.Created
	annotations["containerImage"] = b.Options.Image
	// Mirrors of digests find the images of a disconnected cluster; tags they do not cover.
	annotations["features.operators.openshift.io/disconnected"] = fmt.Sprint(byDigest(manifest.Maps(b.CSV, "spec", "relatedImages")))
	lists := map[string]any{"alm-examples": examples}
	if len(internal) > 0 {
		lists["operators.operatorframework.io/internal-objects"] = internal
	}
	namespaces := manifest.Find(source.Objects, "Namespace")
	if len(namespaces) != 1 {
		return fmt.Errorf("the manifests have %d Namespaces; one is expected, for OLM to suggest", len(namespaces))
	}
	annotations["operatorframework.io/suggested-namespace"] = manifest.Name(namespaces[0])
	lists["operatorframework.io/suggested-namespace-template"] = namespaces[0]
	for key, value := range lists {
		text, err := asJSON(value)
		if err != nil {
			return err
		}
		annotations[key] = text
	}
	labels := object{"operatorframework.io/os.linux": "supported"}
	for _, architecture := range b.Options.Architectures {
		labels["operatorframework.io/arch."+architecture] = "supported"
	}
	metadata["labels"] = labels
	return nil
}

// inCSV returns Deployments in the form of a CSV.
func inCSV(deployments []object) []any {
	var all []any
	for _, deployment := range deployments {
		all = append(all, object{
			"name":  manifest.Name(deployment),
			"label": manifest.At(deployment, "metadata", "labels"),
			"spec":  deployment["spec"],
		})
	}
	return all
}

func describedIn(csv object, crd string) object {
	owned := manifest.Maps(csv, "spec", "customresourcedefinitions", "owned")
	if index := slices.IndexFunc(owned, func(one object) bool { return one["name"] == crd }); index >= 0 {
		return owned[index]
	}
	return nil
}

func exampleOf(examples []object, crd object) object {
	for _, example := range examples {
		group, _, _ := strings.Cut(manifest.Text(example, "apiVersion"), "/")
		if group == manifest.Text(crd, "spec", "group") && manifest.Kind(example) == manifest.Text(crd, "spec", "names", "kind") {
			return example
		}
	}
	return nil
}

// schemaOf returns the schema of the version that is stored.
func schemaOf(crd object) object {
	for _, version := range manifest.Maps(crd, "spec", "versions") {
		if version["storage"] == true {
			return manifest.Map(version, "schema", "openAPIV3Schema")
		}
	}
	return nil
}

func byDigest(images []object) bool {
	return !slices.ContainsFunc(images, func(one object) bool { return !strings.Contains(manifest.Text(one, "image"), "@sha256:") })
}
