// Package upgrade compares CRDs of two releases by the rules of OLM v1, which refuses an upgrade that breaks one of them. It does not
// judge whether stored objects are valid.
package upgrade

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

type object = manifest.Object

// Keywords of a schema that say nothing about values.
var ignored = []string{"description", "title", "example", "externalDocs", "$schema", "id"}

// A value must not get too large for one of the first, or too small for one of the second.
var (
	upperBounds = []string{"maximum", "maxLength", "maxItems", "maxProperties"}
	lowerBounds = []string{"minimum", "minLength", "minItems", "minProperties"}
)

// How the path of a field goes on, by the keyword that has the schema of each value in it.
var below = map[string]string{"items": "[]", "additionalProperties": ".*"}

// Breaks returns what OLM v1 refuses, one line each: CRD, version, field, change.
func Breaks(before, after []object) []string {
	var found []string
	now := byName(after)
	for _, old := range manifest.Find(before, "CustomResourceDefinition") {
		name := manifest.Name(old)
		crd, ok := now[name]
		if !ok {
			found = append(found, name+": the CRD was removed")
			continue
		}
		for _, change := range compareCRD(old, crd) {
			found = append(found, name+change)
		}
	}
	return found
}

func byName(objects []object) map[string]object {
	found := map[string]object{}
	for _, crd := range manifest.Find(objects, "CustomResourceDefinition") {
		found[manifest.Name(crd)] = crd
	}
	return found
}

func compareCRD(old, crd object) []string {
	var found []string
	for _, path := range [][]string{{"spec", "scope"}, {"spec", "group"}, {"spec", "names", "kind"}, {"spec", "names", "plural"}} {
		if was, is := manifest.Text(old, path...), manifest.Text(crd, path...); was != is {
			found = append(found, fmt.Sprintf(": %s changed from %s to %s", strings.Join(path, "."), was, is))
		}
	}
	versions := map[string]object{}
	for _, version := range manifest.Maps(crd, "spec", "versions") {
		versions[manifest.Text(version, "name")] = version
	}
	for _, version := range manifest.Maps(old, "spec", "versions") {
		name := manifest.Text(version, "name")
		now, ok := versions[name]
		if !ok {
			found = append(found, ": the version "+name+" was removed")
			continue
		}
		if version["served"] == true && now["served"] != true {
			found = append(found, ": the version "+name+" is no longer served")
		}
		schema := []string{"schema", "openAPIV3Schema"}
		for _, change := range compare("", manifest.Map(version, schema...), manifest.Map(now, schema...)) {
			found = append(found, " "+name+change)
		}
	}
	return found
}

// compare returns the changes of a schema and of those below it. The path of the schema itself has no name.
func compare(path string, old, now object) []string {
	var found []string
	note := func(format string, values ...any) {
		found = append(found, " "+strings.TrimPrefix(path, ".")+": "+fmt.Sprintf(format, values...))
	}
	for _, keyword := range keywords(old, now) {
		was, had := old[keyword]
		is, has := now[keyword]
		switch {
		case slices.Contains(ignored, keyword) || reflect.DeepEqual(was, is):
		case keyword == "properties":
			found = append(found, compareProperties(path, manifest.Map(old, keyword), manifest.Map(now, keyword))...)
		case keyword == "items" || keyword == "additionalProperties":
			inner, ok := was.(object)
			innerNow, okNow := is.(object)
			if ok && okNow {
				found = append(found, compare(path+below[keyword], inner, innerNow)...)
			} else {
				note("%s changed", keyword)
			}
		case keyword == "required":
			for _, field := range without(manifest.Texts(now, keyword), manifest.Texts(old, keyword)) {
				note("the field %s is now required", field)
			}
		case keyword == "enum":
			compareEnum(note, was, is, had, has)
		case keyword == "default":
			compareDefault(note, was, is, had, has)
		case slices.Contains(upperBounds, keyword):
			compareBound(note, keyword, was, is, had, has, func(old, now float64) bool { return now >= old })
		case slices.Contains(lowerBounds, keyword):
			compareBound(note, keyword, was, is, had, has, func(old, now float64) bool { return now <= old })
		case keyword == "type":
			note("the type changed from %v to %v", was, is)
		default:
			// OLM cannot judge the rest (formats, patterns, rules), and refuses what it cannot judge.
			note("%s changed", keyword)
		}
	}
	return found
}

func keywords(schemas ...object) []string {
	all := object{}
	for _, schema := range schemas {
		maps.Copy(all, schema)
	}
	return slices.Sorted(maps.Keys(all))
}

func compareProperties(path string, old, now object) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(old)) {
		field := path + "." + name
		if _, ok := now[name]; !ok {
			found = append(found, " "+strings.TrimPrefix(field, ".")+": the field was removed")
			continue
		}
		found = append(found, compare(field, manifest.Map(old, name), manifest.Map(now, name))...)
	}
	return found
}

type noter func(format string, values ...any)

func compareEnum(note noter, was, is any, had, has bool) {
	if !had {
		note("an enum was added: %v", is)
		return
	}
	if !has {
		return
	}
	before, _ := was.([]any)
	after, _ := is.([]any)
	for _, value := range before {
		if !slices.ContainsFunc(after, func(one any) bool { return reflect.DeepEqual(one, value) }) {
			note("the enum lacks %v now", value)
		}
	}
}

func compareDefault(note noter, was, is any, had, has bool) {
	switch {
	case !had:
		note("a default was added: %v", is)
	case !has:
		note("the default was removed: %v", was)
	default:
		note("the default changed from %v to %v", was, is)
	}
}

func compareBound(note noter, keyword string, was, is any, had, has bool, wider func(old, now float64) bool) {
	if !has {
		return
	}
	if !had {
		note("%s was added: %v", keyword, is)
		return
	}
	before, ok := number(was)
	after, okNow := number(is)
	if !ok || !okNow || !wider(before, after) {
		note("%s changed from %v to %v", keyword, was, is)
	}
}

func number(value any) (float64, bool) {
	switch value := value.(type) {
	case float64:
		return value, true
	case int64:
		return float64(value), true
	default:
		return 0, false
	}
}

// without returns the names that are not among others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}
