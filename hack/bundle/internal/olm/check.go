package olm

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

// What catalogs, the console and certification look for in a CSV.
var (
	annotationsOfCSV = []string{
		"alm-examples", "capabilities", "categories", "containerImage", "createdAt", "description", "repository", "support",
		"operatorframework.io/suggested-namespace", "operatorframework.io/suggested-namespace-template",
	}
	features = []string{
		"cnf", "cni", "csi", "disconnected", "fips-compliant", "proxy-aware", "tls-profiles", "token-auth-aws", "token-auth-azure", "token-auth-gcp",
	}
	fieldsOfCSV = []string{
		"description", "displayName", "icon", "install", "installModes", "keywords", "links", "maintainers", "maturity", "minKubeVersion",
		"provider", "relatedImages", "version",
	}
)

// A CSV's name becomes the value of labels.
const maxName = 63

// Loaded is a bundle that was written to a directory.
type Loaded struct {
	CSV     object
	CRDs    []object
	Objects []object
	// Outside are the objects of prerequisites.yaml.
	Outside []object
}

// Load reads the manifests of a bundle. Each file has one object, or OLM would take the first and drop the rest.
func Load(directory string) (*Loaded, error) {
	files, err := filepath.Glob(filepath.Join(directory, "manifests", "*.yaml"))
	if err != nil {
		return nil, err
	}
	loaded := &Loaded{}
	for _, file := range files {
		objects, err := manifest.Read(file)
		if err != nil {
			return nil, err
		}
		if len(objects) != 1 {
			return nil, fmt.Errorf("%s has %d objects instead of one", file, len(objects))
		}
		switch one := objects[0]; manifest.Kind(one) {
		case "ClusterServiceVersion":
			if loaded.CSV != nil {
				return nil, fmt.Errorf("%s is a second ClusterServiceVersion", file)
			}
			loaded.CSV = one
		case "CustomResourceDefinition":
			loaded.CRDs = append(loaded.CRDs, one)
		default:
			loaded.Objects = append(loaded.Objects, one)
		}
	}
	if loaded.CSV == nil {
		return nil, fmt.Errorf("%s has no ClusterServiceVersion", directory)
	}
	loaded.Outside, err = manifest.Read(filepath.Join(directory, "prerequisites.yaml"))
	return loaded, err
}

// Check returns what is wrong with a bundle, compared with the objects of the manifests that it was made of.
func Check(directory string, source []object) ([]string, error) {
	loaded, err := Load(directory)
	if err != nil {
		return nil, err
	}
	found := loaded.checkCSV()
	found = append(found, loaded.checkOwned()...)
	found = append(found, loaded.checkImages()...)
	found = append(found, loaded.checkKinds(source)...)
	rights, err := loaded.checkRights(source)
	if err != nil {
		return nil, err
	}
	found = append(found, rights...)
	found = append(found, loaded.checkDeployments(source)...)
	metadata, err := checkMetadata(directory)
	if err != nil {
		return nil, err
	}
	found = append(found, metadata...)
	catalog, err := loaded.checkCatalog(directory)
	return append(found, catalog...), err
}

func (l *Loaded) checkCSV() []string {
	var found []string
	annotations := manifest.Map(l.CSV, "metadata", "annotations")
	for _, key := range annotationsOfCSV {
		if manifest.Text(annotations, key) == "" {
			found = append(found, "the CSV lacks the annotation "+key)
		}
	}
	for _, feature := range features {
		key := "features.operators.openshift.io/" + feature
		if value := annotations[key]; value != "true" && value != "false" {
			found = append(found, fmt.Sprintf("the annotation %s is %v instead of \"true\" or \"false\"", key, value))
		}
	}
	for _, field := range fieldsOfCSV {
		if manifest.At(l.CSV, "spec", field) == nil {
			found = append(found, "the CSV lacks spec."+field)
		}
	}
	name := manifest.Name(l.CSV)
	if name != Package+".v"+manifest.Text(l.CSV, "spec", "version") || len(name) > maxName {
		found = append(found, "the name of the CSV is not that of its version, or too long: "+name)
	}
	for _, mode := range manifest.Maps(l.CSV, "spec", "installModes") {
		if wanted := mode["type"] == "AllNamespaces"; mode["supported"] != wanted {
			found = append(found, fmt.Sprintf("the install mode %v must have supported: %v", mode["type"], wanted))
		}
	}
	return found
}

// checkOwned checks that owned kinds and CRDs are the same, that each has an example, and that descriptors name fields.
func (l *Loaded) checkOwned() []string {
	var found []string
	owned := manifest.Maps(l.CSV, "spec", "customresourcedefinitions", "owned")
	if len(owned) != len(l.CRDs) {
		found = append(found, fmt.Sprintf("the CSV owns %d kinds, and there are %d CRDs", len(owned), len(l.CRDs)))
	}
	for _, crd := range l.CRDs {
		one := describedIn(l.CSV, manifest.Name(crd))
		if one == nil {
			found = append(found, "the CSV does not own "+manifest.Name(crd))
			continue
		}
		for _, field := range []string{"displayName", "description"} {
			if manifest.Text(one, field) == "" {
				found = append(found, manifest.Name(crd)+" has no "+field)
			}
		}
		for part, list := range map[string]string{"spec": "specDescriptors", "status": "statusDescriptors"} {
			for _, descriptor := range manifest.Maps(one, list) {
				schema := schemaOf(crd)
				for _, key := range append([]string{part}, strings.Split(manifest.Text(descriptor, "path"), ".")...) {
					schema = manifest.Map(schema, "properties", key)
				}
				if schema == nil {
					found = append(found, fmt.Sprintf("%s: %s describes %v, which is no field", manifest.Name(crd), list, descriptor["path"]))
				}
			}
		}
	}
	return found
}

func (l *Loaded) checkImages() []string {
	var found []string
	related := manifest.Maps(l.CSV, "spec", "relatedImages")
	names := map[string]bool{}
	images := map[string]bool{}
	for _, one := range related {
		if names[manifest.Text(one, "name")] {
			found = append(found, "two related images have the name "+manifest.Text(one, "name"))
		}
		names[manifest.Text(one, "name")] = true
		images[manifest.Text(one, "image")] = true
	}
	for _, deployment := range manifest.Maps(l.CSV, "spec", "install", "spec", "deployments") {
		for _, container := range manifest.Maps(deployment, "spec", "template", "spec", "containers") {
			if image := manifest.Text(container, "image"); !images[image] {
				found = append(found, image+" is no related image")
			}
		}
	}
	disconnected := manifest.Text(l.CSV, "metadata", "annotations", "features.operators.openshift.io/disconnected")
	if disconnected != fmt.Sprint(byDigest(related)) {
		found = append(found, "the annotation about disconnected clusters does not tell whether all images have digests")
	}
	return found
}

// checkKinds checks that the bundle holds nothing that OLM refuses, and that no object of the manifests got lost.
func (l *Loaded) checkKinds(source []object) []string {
	var found []string
	for _, one := range l.Objects {
		if !slices.Contains(allowed, manifest.Kind(one)) {
			found = append(found, "a bundle may not hold "+manifest.Title(one))
		}
		if manifest.Text(one, "metadata", "namespace") != "" {
			found = append(found, manifest.Title(one)+" names a namespace, which OLM ignores")
		}
	}
	there := map[string]bool{}
	for _, one := range slices.Concat(l.CRDs, l.Objects, l.Outside) {
		there[manifest.Title(one)] = true
	}
	for _, one := range source {
		switch manifest.Kind(one) {
		// OLM makes these of the CSV. Rights and Deployments are compared by themselves, and a kind that nobody reads is left out.
		case "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Deployment", "ServiceAccount":
		default:
			if !there[manifest.Title(one)] {
				found = append(found, manifest.Title(one)+" is neither in the bundle nor in prerequisites.yaml")
			}
		}
	}
	return found
}

func (l *Loaded) checkRights(source []object) ([]string, error) {
	wanted, err := granted(source)
	if err != nil {
		return nil, err
	}
	// Rules of other namespaces stay where they are: beside the bundle.
	has, err := grantedByOLM(l.CSV, append(slices.Clone(l.Objects), l.Outside...))
	if err != nil {
		return nil, err
	}
	return wanted.differences(has), nil
}

func (l *Loaded) checkDeployments(source []object) []string {
	var found []string
	installed := manifest.Maps(l.CSV, "spec", "install", "spec", "deployments")
	wanted := manifest.Find(source, "Deployment")
	if len(installed) != len(wanted) {
		found = append(found, fmt.Sprintf("the CSV has %d Deployments instead of %d", len(installed), len(wanted)))
	}
	for _, one := range wanted {
		one = manifest.Copy(one)
		index := slices.IndexFunc(installed, func(other object) bool { return other["name"] == manifest.Name(one) })
		if index < 0 {
			found = append(found, "the CSV lacks the Deployment "+manifest.Name(one))
			continue
		}
		setImage(one, manifest.Text(l.CSV, "metadata", "annotations", "containerImage"))
		if !reflect.DeepEqual(one["spec"], installed[index]["spec"]) {
			found = append(found, "the CSV has another spec of the Deployment "+manifest.Name(one))
		}
	}
	return found
}
