package olm

import (
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

const installerName = Package + "-installer"

var (
	anyName = []any{"create", "list", "watch"}
	byName  = []any{"get", "update", "patch", "delete"}
)

// installer returns the ServiceAccount with which OLM v1 installs the bundle, and its rights: to create what is in the bundle, and
// whatever the accounts of the bundle may do, because nobody can grant what they do not have.
func (b *Bundle) installer() []object {
	namespace := manifest.Text(b.CSV, "metadata", "annotations", "operatorframework.io/suggested-namespace")
	cluster := manage("apiextensions.k8s.io", "customresourcedefinitions", names(b.CRDs))
	cluster = append(cluster, manage("rbac.authorization.k8s.io", "clusterroles", nil)...)
	cluster = append(cluster, manage("rbac.authorization.k8s.io", "clusterrolebindings", nil)...)
	cluster = append(cluster, rule("olm.operatorframework.io", "clusterextensions/finalizers", []any{Package}, []any{"update"}))
	local := []any{}
	for _, permission := range manifest.Maps(b.CSV, "spec", "install", "spec", "clusterPermissions") {
		for _, one := range manifest.Maps(permission, "rules") {
			cluster = append(cluster, one)
		}
		local = append(local, manage("", "serviceaccounts", []any{permission["serviceAccountName"]})...)
	}
	for _, deployment := range manifest.Maps(b.CSV, "spec", "install", "spec", "deployments") {
		local = append(local, manage("apps", "deployments", []any{deployment["name"]})...)
	}
	for _, one := range b.Objects {
		rules, _ := one["rules"].([]any)
		switch manifest.Kind(one) {
		case "ClusterRole":
			cluster = append(cluster, rules...)
			continue
		case "Role":
			local = append(local, rules...)
		case "ClusterRoleBinding":
			continue
		}
		group, _, ok := strings.Cut(manifest.Text(one, "apiVersion"), "/")
		if !ok {
			group = ""
		}
		local = append(local, manage(group, plural(manifest.Kind(one)), []any{manifest.Name(one)})...)
	}
	role := func(kind string, rules []any) []object {
		metadata := object{"name": installerName}
		if kind == "Role" {
			metadata["namespace"] = namespace
		}
		return []object{
			{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules},
			{
				"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind + "Binding", "metadata": metadata,
				"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": installerName},
				"subjects": []any{object{"kind": "ServiceAccount", "name": installerName, "namespace": namespace}},
			},
		}
	}
	all := []object{{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": installerName, "namespace": namespace}}}
	all = append(all, role("ClusterRole", cluster)...)
	return append(all, role("Role", local)...)
}

// manage returns the rules to manage objects. OLM generates the names of cluster roles: those have none here.
func manage(group, resource string, names []any) []any {
	if names == nil {
		return []any{rule(group, resource, nil, append(append([]any{}, anyName...), byName...))}
	}
	return []any{rule(group, resource, nil, anyName), rule(group, resource, names, byName)}
}

func rule(group, resource string, names, verbs []any) object {
	one := object{"apiGroups": []any{group}, "resources": []any{resource}, "verbs": verbs}
	if names != nil {
		one["resourceNames"] = names
	}
	return one
}

func names(objects []object) []any {
	all := []any{}
	for _, one := range objects {
		all = append(all, manifest.Name(one))
	}
	return all
}

// plural returns the resource of a kind that a bundle may hold.
func plural(kind string) string {
	lower := strings.ToLower(kind)
	if strings.HasSuffix(lower, "class") {
		return lower + "es"
	}
	return lower + "s"
}
