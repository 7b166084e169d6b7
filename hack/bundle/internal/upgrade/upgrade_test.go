package upgrade

import (
	"slices"
	"strings"
	"testing"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

const base = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.example.dev
spec:
  group: example.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: A widget.
        required: [spec]
        properties:
          spec:
            type: object
            required: [mode]
            properties:
              mode: {type: string, enum: [A, B]}
              size: {type: integer, minimum: 1, maximum: 9}
              name: {type: string, maxLength: 63, pattern: "^[a-z]+$"}
              interval: {type: string, default: 5m}
              free: {type: string}
              parts:
                type: array
                maxItems: 10
                items:
                  type: object
                  properties:
                    port: {type: integer, minimum: 1}
              labels:
                type: object
                additionalProperties: {type: string, minLength: 1}
`

// edited returns the CRD with texts replaced, each by the one after it.
func edited(t *testing.T, replacements ...string) []manifest.Object {
	t.Helper()
	text := base
	for i := 0; i < len(replacements); i += 2 {
		if strings.Count(text, replacements[i]) != 1 {
			t.Fatalf("%q is not exactly once in the CRD", replacements[i])
		}
		text = strings.Replace(text, replacements[i], replacements[i+1], 1)
	}
	objects, err := manifest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestBreaks(t *testing.T) {
	const crd = "widgets.example.dev"
	tests := []struct {
		name string
		edit []string
		want []string
	}{
		{"nothing changed", nil, nil},
		{"a description changed", []string{"A widget.", "One widget."}, nil},
		{"an optional field was added", []string{"free: {type: string}", "free: {type: string}\n              more: {type: string, default: x, enum: [x]}"}, nil},
		{"a field is optional now", []string{"required: [mode]", "required: []"}, nil},
		{"an enum has another value", []string{"enum: [A, B]", "enum: [C, B, A]"}, nil},
		{"an enum was removed", []string{", enum: [A, B]", ""}, nil},
		{"bounds are wider", []string{"minimum: 1, maximum: 9", "minimum: 0, maximum: 10"}, nil},
		{"bounds were removed", []string{", maxLength: 63", "", "maxItems: 10", "nullable: false"}, []string{" v1 spec.parts: nullable changed"}},
		{"a version was added", []string{"  - name: v1\n", "  - name: v2\n    served: true\n    storage: false\n    schema: {openAPIV3Schema: {type: object}}\n  - name: v1\n"}, nil},

		{"a field was removed", []string{"              free: {type: string}\n", ""}, []string{" v1 spec.free: the field was removed"}},
		{"a field of an item was removed", []string{"port: {type: integer, minimum: 1}", "other: {type: integer}"}, []string{" v1 spec.parts[].port: the field was removed"}},
		{"an existing field is required now", []string{"required: [mode]", "required: [mode, size]"}, []string{" v1 spec: the field size is now required"}},
		{"a new field is required", []string{"required: [mode]", "required: [mode, new]", "free: {type: string}", "free: {type: string}\n              new: {type: string}"}, []string{" v1 spec: the field new is now required"}},
		{"an enum lacks a value", []string{"enum: [A, B]", "enum: [A, C]"}, []string{" v1 spec.mode: the enum lacks B now"}},
		{"an enum was added", []string{"free: {type: string}", "free: {type: string, enum: [x]}"}, []string{" v1 spec.free: an enum was added: [x]"}},
		{"a default was added", []string{"free: {type: string}", "free: {type: string, default: x}"}, []string{" v1 spec.free: a default was added: x"}},
		{"a default changed", []string{"default: 5m", "default: 6m"}, []string{" v1 spec.interval: the default changed from 5m to 6m"}},
		{"a default was removed", []string{", default: 5m", ""}, []string{" v1 spec.interval: the default was removed: 5m"}},
		{"a maximum is lower", []string{"maximum: 9", "maximum: 8"}, []string{" v1 spec.size: maximum changed from 9 to 8"}},
		{"a minimum is higher", []string{"minimum: 1, maximum", "minimum: 2, maximum"}, []string{" v1 spec.size: minimum changed from 1 to 2"}},
		{"a maximum was added", []string{"free: {type: string}", "free: {type: string, maxLength: 3}"}, []string{" v1 spec.free: maxLength was added: 3"}},
		{"a list is shorter", []string{"maxItems: 10", "maxItems: 9"}, []string{" v1 spec.parts: maxItems changed from 10 to 9"}},
		{"values of a map are longer", []string{"minLength: 1", "minLength: 2"}, []string{" v1 spec.labels.*: minLength changed from 1 to 2"}},
		{"a type changed", []string{"free: {type: string}", "free: {type: integer}"}, []string{" v1 spec.free: the type changed from string to integer"}},
		{"a pattern changed", []string{"^[a-z]+$", "^[a-z0-9]+$"}, []string{" v1 spec.name: pattern changed"}},
		{"a rule was added", []string{"required: [mode]", "x-kubernetes-validations: [{rule: self.size > 1}]\n            required: [mode]"}, []string{" v1 spec: x-kubernetes-validations changed"}},
		{"the scope changed", []string{"scope: Namespaced", "scope: Cluster"}, []string{": spec.scope changed from Namespaced to Cluster"}},
		{"a version was removed", []string{"- name: v1", "- name: v2"}, []string{": the version v1 was removed"}},
		{"a version is not served", []string{"served: true", "served: false"}, []string{": the version v1 is no longer served"}},
		{"the CRD was removed", []string{"name: widgets.example.dev", "name: gadgets.example.dev"}, []string{": the CRD was removed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var want []string
			for _, change := range test.want {
				want = append(want, crd+change)
			}
			if got := Breaks(edited(t), edited(t, test.edit...)); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
