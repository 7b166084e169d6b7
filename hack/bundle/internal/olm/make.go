// Package olm makes a bundle for the Operator Lifecycle Manager from the objects that kustomize builds, and a catalog with it. It reads
// and writes no cluster.
package olm

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

type object = manifest.Object

// Package is the name under which catalogs have hypermirror.
const Package = "hypermirror"

// The image of the manifests, which each installation replaces.
const placeholder = "registry.example/hypermirror/hypermirror:latest"

// Kinds that a bundle may hold in every version of OLM. NetworkPolicies are missing: OLM v1 and older versions of OLM v0 refuse them.
var allowed = []string{
	"ClusterRole", "ClusterRoleBinding", "ConfigMap", "PodDisruptionBudget", "PriorityClass", "PrometheusRule", "Role", "RoleBinding",
	"Secret", "Service", "ServiceAccount", "ServiceMonitor",
}

// Kinds that run something: OLM runs Deployments only, and leaving one out would be no installation.
var workloads = []string{"DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob", "Pod"}

// Source is what a bundle is made of.
type Source struct {
	// CSV has what the manifests do not say, and all owned kinds.
	CSV object
	// Examples has an object of each owned kind.
	Examples []object
	Icon     []byte
	// Objects are those of the manifests.
	Objects []object
	// Monitoring has PodMonitors and the PrometheusRule. Without it, the bundle has none.
	Monitoring []object
}

// Options are what changes from release to release.
type Options struct {
	Version, Replaces, Created string
	Channel                    string
	// Image is that of hypermirror, BundleImage that of the bundle.
	Image, BundleImage string
	Architectures      []string
}

// Bundle has the objects of a bundle, and those beside it.
type Bundle struct {
	Options Options
	CSV     object
	CRDs    []object
	Objects []object
	// Outside is what a bundle may not hold, but an installation needs.
	Outside []object
}

// Name is that of the CSV, and of the bundle in catalogs.
func (o Options) Name() string { return Package + ".v" + o.Version }

// Make makes a bundle.
func Make(source Source, options Options) (*Bundle, error) {
	made := &Bundle{Options: options, CSV: manifest.Copy(source.CSV)}
	var objects []object
	for _, one := range source.Objects {
		objects = append(objects, manifest.Copy(one))
	}
	deployments := manifest.Find(objects, "Deployment")
	if len(deployments) == 0 {
		return nil, fmt.Errorf("the manifests have no Deployment: OLM installs nothing else")
	}
	var accounts []string
	for _, deployment := range deployments {
		setImage(deployment, options.Image)
		accounts = append(accounts, manifest.Text(deployment, "spec", "template", "spec", "serviceAccountName"))
	}
	permissions, inCSV, err := clusterPermissions(objects, accounts)
	if err != nil {
		return nil, err
	}
	for _, one := range objects {
		if err := made.sort(one, accounts, inCSV, permissions); err != nil {
			return nil, err
		}
	}
	made.addMonitors(source.Monitoring)
	return made, made.fillCSV(source, deployments, permissions)
}

// sort puts an object where it belongs.
func (b *Bundle) sort(one object, accounts, inCSV []string, permissions []any) error {
	kind := manifest.Kind(one)
	switch {
	case slices.Contains(workloads, kind):
		return fmt.Errorf("%s: OLM installs no %s", manifest.Title(one), kind)
	case kind == "Deployment", slices.Contains(inCSV, manifest.Title(one)):
		// The CSV has it.
	case kind == "ServiceAccount" && slices.Contains(accounts, manifest.Name(one)):
		// OLM creates those of Deployments, and refuses a second one of the name.
	case kind == "CustomResourceDefinition":
		if usedCRD(one, permissions) {
			b.CRDs = append(b.CRDs, one)
		}
	case slices.Contains(allowed, kind):
		b.add(one)
	default:
		b.Outside = append(b.Outside, one)
	}
	return nil
}

// add adds an object to the bundle. OLM installs it in the namespace of the manager, whatever it says.
func (b *Bundle) add(one object) {
	delete(manifest.Map(one, "metadata"), "namespace")
	b.Objects = append(b.Objects, one)
}

// usedCRD reports whether an account of the bundle reads or writes a kind: a kind that nobody serves would be offered for nothing.
func usedCRD(crd object, permissions []any) bool {
	return slices.ContainsFunc(permissions, func(permission any) bool {
		one, _ := permission.(object)
		return uses(manifest.Maps(one, "rules"), manifest.Text(crd, "spec", "group"), manifest.Text(crd, "spec", "names", "plural"))
	})
}

func setImage(deployment object, image string) {
	for _, list := range []string{"containers", "initContainers"} {
		for _, container := range manifest.Maps(deployment, "spec", "template", "spec", list) {
			if manifest.Text(container, "image") == placeholder {
				container["image"] = image
			}
		}
	}
}

// clusterPermissions returns the cluster roles of ServiceAccounts in the form of a CSV, and the titles of the objects in it. Roles stay
// objects: of `permissions`, OLM makes cluster roles when it installs for all namespaces.
func clusterPermissions(objects []object, accounts []string) ([]any, []string, error) {
	bound, err := bindings(objects, "ClusterRoleBinding")
	if err != nil {
		return nil, nil, err
	}
	inNamespaces, err := bindings(objects, "RoleBinding")
	if err != nil {
		return nil, nil, err
	}
	var permissions []any
	var inCSV []string
	for _, account := range accounts {
		var rules []any
		for _, one := range bound {
			if !slices.Contains(one.accounts, account) {
				continue
			}
			if len(one.accounts) != 1 {
				return nil, nil, fmt.Errorf("%s is bound to several ServiceAccounts", one.role)
			}
			for _, rule := range one.rules {
				rules = append(rules, rule)
			}
			if !slices.ContainsFunc(inNamespaces, func(other binding) bool { return other.role == one.role }) {
				inCSV = append(inCSV, one.role)
			}
		}
		permissions = append(permissions, object{"serviceAccountName": account, "rules": rules})
	}
	for _, one := range manifest.Find(objects, "ClusterRoleBinding") {
		for _, subject := range manifest.Maps(one, "subjects") {
			if slices.Contains(accounts, manifest.Text(subject, "name")) {
				inCSV = append(inCSV, manifest.Title(one))
			}
		}
	}
	return permissions, inCSV, nil
}

// addMonitors adds the alerts, and for each PodMonitor a ServiceMonitor: a bundle may hold no PodMonitor.
func (b *Bundle) addMonitors(monitoring []object) {
	for _, one := range monitoring {
		switch manifest.Kind(one) {
		case "PrometheusRule":
			b.add(manifest.Copy(one))
		case "PodMonitor":
			if monitor := serviceMonitor(one, manifest.Find(b.Objects, "Service")); monitor != nil {
				b.add(monitor)
			}
		}
	}
}

// serviceMonitor returns the counterpart of a PodMonitor, or nil if no Service has the port that it names.
func serviceMonitor(pods object, services []object) object {
	labels := manifest.Map(pods, "spec", "selector", "matchLabels")
	endpoints := manifest.Maps(pods, "spec", "podMetricsEndpoints")
	for _, service := range services {
		has := func(endpoint object) bool {
			return slices.ContainsFunc(manifest.Maps(service, "spec", "ports"), func(port object) bool { return port["name"] == endpoint["port"] })
		}
		if !includes(manifest.Map(service, "metadata", "labels"), labels) || slices.ContainsFunc(endpoints, func(one object) bool { return !has(one) }) {
			continue
		}
		monitor := manifest.Copy(pods)
		monitor["kind"] = "ServiceMonitor"
		monitor["spec"] = object{"selector": object{"matchLabels": labels}, "endpoints": manifest.At(pods, "spec", "podMetricsEndpoints")}
		return monitor
	}
	return nil
}

func includes(labels, wanted object) bool {
	for key, value := range wanted {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// relatedImages returns the images that a Deployment runs or names in an argument or variable, each once.
func relatedImages(deployments []object) []any {
	var images []any
	seen := map[string]bool{}
	add := func(name, image string) {
		if image != "" && !seen[image] {
			seen[image] = true
			images = append(images, object{"name": name, "image": image})
		}
	}
	for _, deployment := range deployments {
		for _, container := range manifest.Maps(deployment, "spec", "template", "spec", "containers") {
			add(manifest.Name(deployment), manifest.Text(container, "image"))
			for _, argument := range manifest.Texts(container, "args") {
				if flag, image, ok := strings.Cut(strings.TrimPrefix(argument, "--"), "="); ok && strings.HasSuffix(flag, "image") {
					add(flag, image)
				}
			}
			for _, variable := range manifest.Maps(container, "env") {
				if name := manifest.Text(variable, "name"); strings.HasSuffix(name, "_IMAGE") {
					add(strings.ToLower(strings.ReplaceAll(name, "_", "-")), manifest.Text(variable, "value"))
				}
			}
		}
	}
	return images
}

func icon(svg []byte) []any {
	return []any{object{"base64data": base64.StdEncoding.EncodeToString(svg), "mediatype": "image/svg+xml"}}
}

// asJSON is for annotations whose value is JSON.
func asJSON(value any) (string, error) {
	text, err := json.MarshalIndent(value, "", "  ")
	return string(text), err
}
