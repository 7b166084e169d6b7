package olm

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

const image = "registry.example/hypermirror@sha256:00"

var options = Options{
	Version: "1.2.3", Replaces: "1.2.2", Created: "2026-01-02T03:04:05Z", Channel: "preview", Image: image,
	BundleImage: "registry.example/bundle@sha256:03", Architectures: []string{"amd64", "arm64"},
}

func source(t *testing.T) Source {
	t.Helper()
	read := func(file string) []object {
		objects, err := manifest.Read(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		return objects
	}
	example := object{"apiVersion": "example.dev/v1", "kind": "Widget", "metadata": object{"name": "a"}}
	return Source{
		CSV: read("csv.yaml")[0], Examples: []object{example}, Icon: []byte("<svg/>"),
		Objects: read("objects.yaml"), Monitoring: read("monitoring.yaml"),
	}
}

func made(t *testing.T, from Source, with Options) *Bundle {
	t.Helper()
	bundle, err := Make(from, with)
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func titles(objects []object) string {
	var all []string
	for _, one := range objects {
		all = append(all, manifest.Title(one))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestObjectsGoWhereOLMTakesThem(t *testing.T) {
	bundle := made(t, source(t), options)
	for _, test := range []struct{ what, got, want string }{
		// The kind that no account reads is left out.
		{"CRDs", titles(bundle.CRDs), "CustomResourceDefinition/widgets.example.dev"},
		{"objects", titles(bundle.Objects), "ClusterRole/viewer PrometheusRule/alerts Role/leader RoleBinding/leader Service/metrics ServiceMonitor/manager"},
		{"outside", titles(bundle.Outside), "Namespace/widgets NetworkPolicy/manager"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.what, test.got, test.want)
		}
	}
	permissions := manifest.Maps(bundle.CSV, "spec", "install", "spec", "clusterPermissions")
	if len(permissions) != 1 || len(manifest.Maps(permissions[0], "rules")) != 2 || permissions[0]["serviceAccountName"] != "manager" {
		t.Errorf("the cluster permissions are %v", permissions)
	}
	if manifest.At(bundle.CSV, "spec", "install", "spec", "permissions") != nil {
		t.Error("the CSV has permissions, of which OLM would make a cluster role")
	}
}

func TestRelatedImages(t *testing.T) {
	bundle := made(t, source(t), options)
	got := fmt.Sprint(bundle.CSV["spec"].(object)["relatedImages"])
	want := fmt.Sprint([]any{
		object{"name": "manager", "image": image},
		object{"name": "agent-image", "image": "registry.example/agent@sha256:01"},
		object{"name": "build-image", "image": "registry.example/build@sha256:02"},
	})
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tagged := options
	tagged.Image = "registry.example/hypermirror:v1"
	for with, want := range map[string]string{image: "true", tagged.Image: "false"} {
		tagged.Image = with
		annotations := manifest.Map(made(t, source(t), tagged).CSV, "metadata", "annotations")
		if got := annotations["features.operators.openshift.io/disconnected"]; got != want {
			t.Errorf("with %s, disconnected is %v", with, got)
		}
	}
}

func TestWhatOLMCannotInstallIsAnError(t *testing.T) {
	tests := map[string]func(*Source){
		"OLM installs no DaemonSet": func(s *Source) {
			s.Objects = append(s.Objects, object{"kind": "DaemonSet", "metadata": object{"name": "agent"}})
		},
		"have no Deployment": func(s *Source) {
			s.Objects = slices.DeleteFunc(s.Objects, func(one object) bool { return manifest.Kind(one) == "Deployment" })
		},
		"have 0 Namespaces": func(s *Source) {
			s.Objects = slices.DeleteFunc(s.Objects, func(one object) bool { return manifest.Kind(one) == "Namespace" })
		},
		"binds Role/leader, which is not there": func(s *Source) {
			s.Objects = slices.DeleteFunc(s.Objects, func(one object) bool { return manifest.Title(one) == "Role/leader" })
		},
		"no example of widgets.example.dev": func(s *Source) { s.Examples = nil },
		"does not describe the owned kind widgets.example.dev": func(s *Source) {
			manifest.Map(s.CSV, "spec")["customresourcedefinitions"] = object{}
		},
	}
	for want, edit := range tests {
		from := source(t)
		edit(&from)
		if _, err := Make(from, options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestInstallerMayGrantWhatTheBundleGrants(t *testing.T) {
	bundle := made(t, source(t), options)
	installer, err := granted(bundle.installer())
	if err != nil {
		t.Fatal(err)
	}
	wanted := rights{}
	for _, one := range source(t).Objects {
		switch manifest.Kind(one) {
		case "ClusterRole":
			wanted.add(installerName, "cluster", manifest.Maps(one, "rules"))
		case "Role":
			wanted.add(installerName, "namespace", manifest.Maps(one, "rules"))
		}
	}
	for right := range wanted {
		if !installer[right] {
			t.Errorf("the installer lacks %s", right)
		}
	}
	for right := range installer {
		if strings.Contains(right, " cluster coordination.k8s.io leases ") {
			t.Errorf("the installer has %s", right)
		}
	}
}

// Each edit of a file of a good bundle is found.
func TestCheckFinds(t *testing.T) {
	const csv = "manifests/hypermirror.clusterserviceversion.yaml"
	tests := []struct{ file, old, new, want string }{
		{"", "", "", ""},
		{csv, "name: hypermirror.v1.2.3", "name: hypermirror.v1.2.4", "the name of the CSV is not that of its version"},
		{csv, "createdAt", "created", "the CSV lacks the annotation createdAt"},
		{csv, `features.operators.openshift.io/cnf: "false"`, `features.operators.openshift.io/cnf: "no"`, "io/cnf is no instead of"},
		{csv, "maturity: alpha", "maturity: null", "the CSV lacks spec.maturity"},
		{csv, "supported: true", "supported: false", "the install mode AllNamespaces must have supported: true"},
		{csv, "path: size", "path: length", "specDescriptors describes length, which is no field"},
		{csv, "displayName: Widget", "displayName: ''", "widgets.example.dev has no displayName"},
		{csv, "name: widgets.example.dev", "name: other.example.dev", "the CSV does not own widgets.example.dev"},
		{csv, "- image: " + image, "- image: other@sha256:00", "is no related image"},
		{csv, `disconnected: "true"`, `disconnected: "false"`, "the annotation about disconnected clusters"},
		{csv, "resourceNames:\n          - a\n", "resourceNames:\n          - b\n", "the bundle also allows: manager cluster  configmaps b get"},
		{csv, "          resourceNames:\n          - a\n", "", "the bundle also allows: manager cluster  configmaps (any) get"},
		{csv, "      deployments:", "      permissions:\n      - serviceAccountName: manager\n        rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}]\n      deployments:", "the bundle also allows: manager cluster coordination.k8s.io leases (any) create"},
		{csv, "replicas: 1", "replicas: 2", "another spec of the Deployment manager"},
		{"manifests/leader_role.yaml", "- create", "- get", "the bundle does not allow: manager namespace coordination.k8s.io leases (any) create"},
		{"manifests/metrics_service.yaml", "kind: Service", "kind: NetworkPolicy", "a bundle may not hold NetworkPolicy/metrics"},
		{"manifests/metrics_service.yaml", "name: metrics", "name: metrics\n  namespace: other", "Service/metrics names a namespace"},
		{"prerequisites.yaml", "kind: NetworkPolicy", "kind: Other", "NetworkPolicy/manager is neither in the bundle nor in prerequisites.yaml"},
		{"metadata/annotations.yaml", "v4.17", "v4.16", "annotations.yaml and bundle.Dockerfile differ"},
		{"catalog/hypermirror/catalog.yaml", "defaultChannel: preview", "defaultChannel: stable", "the default channel of the catalog does not exist"},
		{"catalog/hypermirror/catalog.yaml", "replaces: hypermirror.v1.2.2", "replaces: hypermirror.v1.2.1", "the catalog's channel has"},
		{"catalog/hypermirror/catalog.yaml", "type: olm.gvk", "type: olm.other", "the catalog has 0 kinds instead of 1"},
		{"catalog/hypermirror/catalog.yaml", "schema: olm.bundle", "schema: olm.other", "the catalog has [olm.channel olm.other olm.package]"},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			directory := t.TempDir()
			if err := made(t, source(t), options).Write(directory); err != nil {
				t.Fatal(err)
			}
			if test.file != "" {
				replace(t, filepath.Join(directory, test.file), test.old, test.new)
			}
			found, err := Check(directory, source(t).Objects)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(found, "\n"); !strings.Contains(got, test.want) || (test.want == "") != (got == "") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func replace(t *testing.T, file, old, new string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s does not have %q:\n%s", file, old, text)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}
