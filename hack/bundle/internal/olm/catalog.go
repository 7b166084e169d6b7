package olm

import "github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"

// What catalogs repeat of a CSV, by the names that they have there.
var catalogFields = map[string]string{
	"apiservicedefinitions": "apiServiceDefinitions", "customresourcedefinitions": "crdDescriptions", "description": "description",
	"displayName": "displayName", "installModes": "installModes", "keywords": "keywords", "links": "links", "maintainers": "maintainers",
	"maturity": "maturity", "minKubeVersion": "minKubeVersion", "provider": "provider",
}

// catalog returns a file-based catalog with this bundle alone, as `opm render` returns it.
func (b *Bundle) catalog() []object {
	metadata := object{
		"annotations": manifest.At(b.CSV, "metadata", "annotations"),
		"labels":      manifest.At(b.CSV, "metadata", "labels"),
	}
	for field, name := range catalogFields {
		if value := manifest.At(b.CSV, "spec", field); value != nil {
			metadata[name] = value
		}
	}
	properties := []any{property("olm.package", object{"packageName": Package, "version": b.Options.Version})}
	for _, crd := range b.CRDs {
		for _, version := range manifest.Maps(crd, "spec", "versions") {
			properties = append(properties, property("olm.gvk", object{
				"group": manifest.At(crd, "spec", "group"), "kind": manifest.At(crd, "spec", "names", "kind"), "version": version["name"],
			}))
		}
	}
	properties = append(properties, property("olm.csv.metadata", metadata))
	images := []any{object{"name": "", "image": b.Options.BundleImage}}
	for _, image := range manifest.Maps(b.CSV, "spec", "relatedImages") {
		images = append(images, image)
	}
	return append(b.channel(), object{
		"schema": "olm.bundle", "name": b.Options.Name(), "package": Package, "image": b.Options.BundleImage,
		"properties": properties, "relatedImages": images,
	})
}

func property(kind string, value object) object { return object{"type": kind, "value": value} }

// channel returns the package and its channel, which say what upgrades to what.
func (b *Bundle) channel() []object {
	entry := object{"name": b.Options.Name()}
	if b.Options.Replaces != "" {
		entry["replaces"] = Package + ".v" + b.Options.Replaces
	}
	icons := manifest.Maps(b.CSV, "spec", "icon")
	return []object{
		{
			"schema": "olm.package", "name": Package, "defaultChannel": b.Options.Channel,
			"description": manifest.Text(b.CSV, "metadata", "annotations", "description"),
			"icon":        object{"base64data": icons[0]["base64data"], "mediatype": icons[0]["mediatype"]},
		},
		{"schema": "olm.channel", "name": b.Options.Channel, "package": Package, "entries": []any{entry}},
	}
}

// template returns the same as a template of opm, to which further releases can be added.
func (b *Bundle) template() object {
	entries := []any{}
	for _, one := range b.channel() {
		entries = append(entries, one)
	}
	return object{
		"schema":  "olm.template.basic",
		"entries": append(entries, object{"schema": "olm.bundle", "image": b.Options.BundleImage}),
	}
}
