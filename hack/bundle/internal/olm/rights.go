package olm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

// rights are what ServiceAccounts may do: one line for each account, scope, group, resource, name and verb.
type rights map[string]bool

func (r rights) add(account, scope string, rules []object) {
	for _, rule := range rules {
		names := manifest.Texts(rule, "resourceNames")
		if len(names) == 0 {
			names = []string{"(any)"}
		}
		for _, group := range manifest.Texts(rule, "apiGroups") {
			for _, resource := range manifest.Texts(rule, "resources") {
				for _, name := range names {
					for _, verb := range manifest.Texts(rule, "verbs") {
						r[strings.Join([]string{account, scope, group, resource, name, verb}, " ")] = true
					}
				}
			}
		}
	}
}

// differences returns what only one side allows.
func (r rights) differences(other rights) []string {
	var found []string
	for _, right := range slices.Sorted(maps.Keys(r)) {
		if !other[right] {
			found = append(found, "the bundle does not allow: "+right)
		}
	}
	for _, right := range slices.Sorted(maps.Keys(other)) {
		if !r[right] {
			found = append(found, "the bundle also allows: "+right)
		}
	}
	return found
}

// binding is a role that is bound to ServiceAccounts.
type binding struct {
	accounts []string
	role     string
	rules    []object
}

// bindings returns what the bindings of a kind bind.
func bindings(objects []object, kind string) ([]binding, error) {
	var all []binding
	for _, one := range manifest.Find(objects, kind) {
		found := binding{role: manifest.Text(one, "roleRef", "kind") + "/" + manifest.Text(one, "roleRef", "name")}
		for _, subject := range manifest.Maps(one, "subjects") {
			if manifest.Kind(subject) != "ServiceAccount" {
				return nil, fmt.Errorf("%s binds a %s; only ServiceAccounts are expected", manifest.Title(one), manifest.Kind(subject))
			}
			found.accounts = append(found.accounts, manifest.Text(subject, "name"))
		}
		index := slices.IndexFunc(objects, func(role object) bool { return manifest.Title(role) == found.role })
		if index < 0 {
			return nil, fmt.Errorf("%s binds %s, which is not there", manifest.Title(one), found.role)
		}
		found.rules = manifest.Maps(objects[index], "rules")
		all = append(all, found)
	}
	return all, nil
}

// granted returns the rights that objects give to ServiceAccounts.
func granted(objects []object) (rights, error) {
	found := rights{}
	for kind, scope := range map[string]string{"ClusterRoleBinding": "cluster", "RoleBinding": "namespace"} {
		bound, err := bindings(objects, kind)
		if err != nil {
			return nil, err
		}
		for _, one := range bound {
			for _, account := range one.accounts {
				found.add(account, scope, one.rules)
			}
		}
	}
	return found, nil
}

// grantedByOLM returns the rights that ServiceAccounts have once OLM has installed a bundle for all namespaces. It then makes cluster
// roles of `permissions`, too.
func grantedByOLM(csv object, objects []object) (rights, error) {
	found, err := granted(objects)
	if err != nil {
		return nil, err
	}
	for _, field := range []string{"clusterPermissions", "permissions"} {
		for _, permission := range manifest.Maps(csv, "spec", "install", "spec", field) {
			found.add(manifest.Text(permission, "serviceAccountName"), "cluster", manifest.Maps(permission, "rules"))
		}
	}
	return found, nil
}

// uses reports whether a rule is about a resource of a group.
func uses(rules []object, group, resource string) bool {
	return slices.ContainsFunc(rules, func(rule object) bool {
		return slices.Contains(manifest.Texts(rule, "apiGroups"), group) && slices.Contains(manifest.Texts(rule, "resources"), resource)
	})
}
