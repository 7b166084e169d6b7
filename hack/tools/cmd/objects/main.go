// Command objects prints the objects of manifests in a form that can be compared: sorted by kind, namespace and name, each as
// YAML with sorted keys, without what only Helm adds. It reads YAML documents from standard input.
//
//	helm template ... | objects --without Namespace/hypermirror-system
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// What Helm's conventions add to each object of a chart: kustomize has no counterpart.
var (
	helmLabels = []string{
		"helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by",
	}
	helmAnnotations = []string{"helm.sh/resource-policy"}
)

type object = map[string]any

func main() {
	log.SetFlags(0)
	log.SetPrefix("objects: ")
	var without []string
	flag.Func("without", "leave out the object KIND/NAME; may be repeated", func(value string) error {
		without = append(without, value)
		return nil
	})
	flag.Parse()
	found, err := read(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	for _, left := range without {
		delete(found, left)
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		text, err := yaml.Marshal(found[key])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("--- # %s\n%s", key, text)
	}
}

// read returns the objects by kind, namespace and name. Hooks are left out: they are no part of a release's objects.
func read(from io.Reader) (map[string]object, error) {
	found := map[string]object{}
	decoder := utilyaml.NewYAMLOrJSONDecoder(from, 4096)
	for {
		var one object
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		// Between two separators there may be comments alone.
		if len(one) == 0 {
			continue
		}
		metadata, ok := one["metadata"].(object)
		if !ok {
			return nil, fmt.Errorf("an object of kind %v has no metadata", one["kind"])
		}
		annotations, _ := metadata["annotations"].(object)
		if _, hook := annotations["helm.sh/hook"]; hook {
			continue
		}
		remove(metadata, "labels", helmLabels)
		remove(metadata, "annotations", helmAnnotations)
		key := name(one["kind"], metadata["namespace"], metadata["name"])
		if _, twice := found[key]; twice {
			return nil, fmt.Errorf("%s is there twice", key)
		}
		found[key] = one
	}
}

// remove deletes keys of a map in metadata, and the map if nothing else is in it.
func remove(metadata object, field string, keys []string) {
	values, ok := metadata[field].(object)
	if !ok {
		return
	}
	for _, key := range keys {
		delete(values, key)
	}
	if len(values) == 0 {
		delete(metadata, field)
	}
}

// name joins those that are there with slashes.
func name(parts ...any) string {
	var texts []string
	for _, part := range parts {
		if text, ok := part.(string); ok && text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "/")
}
