// Package manifest reads objects from YAML and looks into them. It knows no kinds.
package manifest

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Object is an object of Kubernetes, or a part of one.
type Object = map[string]any

var separator = regexp.MustCompile(`(?m)^---.*$`)

// Parse returns the objects of YAML documents. Keys that occur twice are errors.
func Parse(text []byte) ([]Object, error) {
	var all []Object
	for _, document := range separator.Split(string(text), -1) {
		one := Object{}
		if err := yaml.UnmarshalStrict([]byte(document), &one); err != nil {
			return nil, err
		}
		// Between two separators there may be comments alone.
		if len(one) > 0 {
			all = append(all, one)
		}
	}
	return all, nil
}

// Read returns the objects of files.
func Read(files ...string) ([]Object, error) {
	var all []Object
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		objects, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("failed to parse %s: %w", file, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// At returns what is at a path of keys, or nil.
func At(object Object, path ...string) any {
	var value any = object
	for _, key := range path {
		inner, ok := value.(Object)
		if !ok {
			return nil
		}
		value = inner[key]
	}
	return value
}

// Map returns the map at a path of keys, or nil.
func Map(object Object, path ...string) Object {
	value, _ := At(object, path...).(Object)
	return value
}

// Text returns the string at a path of keys, or an empty one.
func Text(object Object, path ...string) string {
	value, _ := At(object, path...).(string)
	return value
}

// Maps returns the maps of the list at a path of keys.
func Maps(object Object, path ...string) []Object {
	var all []Object
	list, _ := At(object, path...).([]any)
	for _, value := range list {
		if one, ok := value.(Object); ok {
			all = append(all, one)
		}
	}
	return all
}

// Texts returns the strings of the list at a path of keys.
func Texts(object Object, path ...string) []string {
	var all []string
	list, _ := At(object, path...).([]any)
	for _, value := range list {
		if one, ok := value.(string); ok {
			all = append(all, one)
		}
	}
	return all
}

// Kind returns the kind of an object.
func Kind(object Object) string { return Text(object, "kind") }

// Name returns the name of an object.
func Name(object Object) string { return Text(object, "metadata", "name") }

// Title names an object for messages and files: Kind/name.
func Title(object Object) string { return Kind(object) + "/" + Name(object) }

// Find returns the objects of a kind.
func Find(objects []Object, kind string) []Object {
	var all []Object
	for _, object := range objects {
		if Kind(object) == kind {
			all = append(all, object)
		}
	}
	return all
}

// Print returns objects as YAML documents, with sorted keys.
func Print(objects ...Object) ([]byte, error) {
	var out strings.Builder
	for _, object := range objects {
		text, err := yaml.Marshal(object)
		if err != nil {
			return nil, err
		}
		if len(objects) > 1 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return []byte(out.String()), nil
}

// Copy returns a deep copy of an object.
func Copy(object Object) Object {
	copied, _ := copyValue(object).(Object)
	return copied
}

func copyValue(value any) any {
	switch value := value.(type) {
	case Object:
		copied := Object{}
		for key, inner := range value {
			copied[key] = copyValue(inner)
		}
		return copied
	case []any:
		copied := make([]any, len(value))
		for i, inner := range value {
			copied[i] = copyValue(inner)
		}
		return copied
	default:
		return value
	}
}
