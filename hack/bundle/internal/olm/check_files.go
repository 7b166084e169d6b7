package olm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
)

// checkMetadata checks that annotations.yaml and the labels of the image are the same: OLM reads the one, registries the other.
func checkMetadata(directory string) ([]string, error) {
	objects, err := manifest.Read(filepath.Join(directory, "metadata", "annotations.yaml"))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(directory, "bundle.Dockerfile"))
	if err != nil {
		return nil, err
	}
	labels := object{}
	for line := range strings.Lines(string(text)) {
		if label, ok := strings.CutPrefix(strings.TrimSpace(line), "LABEL "); ok {
			key, value, _ := strings.Cut(label, "=")
			labels[key] = value
		}
	}
	annotations := manifest.Map(objects[0], "annotations")
	if len(objects) != 1 || !reflect.DeepEqual(labels, annotations) {
		return []string{fmt.Sprintf("annotations.yaml and bundle.Dockerfile differ: %v and %v", annotations, labels)}, nil
	}
	var found []string
	for _, key := range []string{"mediatype.v1", "manifests.v1", "metadata.v1", "package.v1", "channels.v1", "channel.default.v1"} {
		if manifest.Text(annotations, "operators.operatorframework.io.bundle."+key) == "" {
			found = append(found, "annotations.yaml lacks "+key)
		}
	}
	return found, nil
}

// checkCatalog checks that the catalog offers this bundle, and nothing that is not there.
func (l *Loaded) checkCatalog(directory string) ([]string, error) {
	objects, err := manifest.Read(filepath.Join(directory, "catalog", Package, "catalog.yaml"))
	if err != nil {
		return nil, err
	}
	schemas := map[string]object{}
	for _, one := range objects {
		schemas[manifest.Text(one, "schema")] = one
	}
	var found []string
	if got := slices.Sorted(maps.Keys(schemas)); !slices.Equal(got, []string{"olm.bundle", "olm.channel", "olm.package"}) || len(objects) != len(got) {
		return []string{fmt.Sprintf("the catalog has %v", got)}, nil
	}
	channel, bundle := schemas["olm.channel"], schemas["olm.bundle"]
	if channel["name"] != schemas["olm.package"]["defaultChannel"] {
		found = append(found, "the default channel of the catalog does not exist")
	}
	for _, entry := range manifest.Maps(channel, "entries") {
		if entry["name"] != manifest.Name(l.CSV) || entry["replaces"] != manifest.At(l.CSV, "spec", "replaces") {
			found = append(found, fmt.Sprintf("the catalog's channel has %v", entry))
		}
	}
	if bundle["name"] != manifest.Name(l.CSV) || len(manifest.Maps(channel, "entries")) != 1 {
		found = append(found, "the catalog has another bundle")
	}
	kinds := 0
	for _, property := range manifest.Maps(bundle, "properties") {
		if property["type"] == "olm.gvk" {
			kinds++
		}
	}
	if kinds != len(l.CRDs) {
		found = append(found, fmt.Sprintf("the catalog has %d kinds instead of %d", kinds, len(l.CRDs)))
	}
	return found, nil
}
