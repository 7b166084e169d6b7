// Command olm-bundle makes a bundle for the Operator Lifecycle Manager from manifests, checks one, and compares CRDs of two releases.
//
//	olm-bundle write --objects=kustomize.yaml --version=1.2.3 --image=registry/hypermirror@sha256:… target/bundle
//	olm-bundle check --objects=kustomize.yaml target/bundle
//	olm-bundle upgrade previous.yaml current.yaml
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hypermirror/hypermirror/hack/bundle/internal/judge"
	"github.com/hypermirror/hypermirror/hack/bundle/internal/manifest"
	"github.com/hypermirror/hypermirror/hack/bundle/internal/olm"
	"github.com/hypermirror/hypermirror/hack/bundle/internal/upgrade"
)

var semanticVersion = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func main() {
	log.SetFlags(0)
	log.SetPrefix("olm-bundle: ")
	if len(os.Args) < 2 {
		log.Fatal("usage: olm-bundle write|check|upgrade …")
	}
	commands := map[string]func([]string) error{"write": write, "check": check, "upgrade": compare}
	command, ok := commands[os.Args[1]]
	if !ok {
		log.Fatalf("unknown command %s: write, check and upgrade exist", os.Args[1])
	}
	if err := command(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func write(arguments []string) error {
	flags := flag.NewFlagSet("write", flag.ExitOnError)
	base := flags.String("base", "manifests/bundle", "directory with the CSV, the examples and the icon")
	objects := flags.String("objects", "", "file with the objects that kustomize builds")
	monitoring := flags.String("monitoring", "", "directory with PodMonitors and alerts; none, if unset")
	architectures := flags.String("architectures", "amd64", "architectures of the image, separated by commas")
	var options olm.Options
	flags.StringVar(&options.Version, "version", "", "version of the release: 1.2.3")
	flags.StringVar(&options.Replaces, "replaces", "", "version of the release that this one upgrades")
	flags.StringVar(&options.Created, "created", "", "time of the release (RFC 3339)")
	flags.StringVar(&options.Channel, "channel", "preview", "channel of the catalog")
	flags.StringVar(&options.Image, "image", "", "image of hypermirror")
	flags.StringVar(&options.BundleImage, "bundle-image", "", "image of the bundle")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	for _, version := range []string{options.Version, options.Replaces} {
		if version != "" && !semanticVersion.MatchString(version) {
			return fmt.Errorf("%s is no version such as 1.2.3", version)
		}
	}
	if flags.NArg() != 1 || options.Version == "" || options.Image == "" || options.BundleImage == "" || *objects == "" {
		return fmt.Errorf("a directory, --objects, --version, --image and --bundle-image are required")
	}
	options.Architectures = strings.Split(*architectures, ",")
	source, err := read(*base, *objects, *monitoring)
	if err != nil {
		return err
	}
	bundle, err := olm.Make(source, options)
	if err != nil {
		return err
	}
	return bundle.Write(flags.Arg(0))
}

func read(base, objects, monitoring string) (olm.Source, error) {
	var source olm.Source
	csv, err := manifest.Read(filepath.Join(base, "clusterserviceversion.yaml"))
	if err != nil {
		return source, err
	}
	source.CSV = csv[0]
	if source.Examples, err = manifest.Read(filepath.Join(base, "examples.yaml")); err != nil {
		return source, err
	}
	if source.Icon, err = os.ReadFile(filepath.Join(base, "icon.svg")); err != nil {
		return source, err
	}
	if monitoring != "" {
		files := []string{filepath.Join(monitoring, "podmonitors.yaml"), filepath.Join(monitoring, "prometheusrule.yaml")}
		if source.Monitoring, err = manifest.Read(files...); err != nil {
			return source, err
		}
	}
	source.Objects, err = manifest.Read(objects)
	return source, err
}

func check(arguments []string) error {
	flags := flag.NewFlagSet("check", flag.ExitOnError)
	objects := flags.String("objects", "", "file with the objects of which the bundle was made")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	source, err := manifest.Read(*objects)
	if err != nil {
		return err
	}
	found, err := olm.Check(flags.Arg(0), source)
	if err != nil {
		return err
	}
	judged, err := judge.Bundle(flags.Arg(0))
	if err != nil {
		return err
	}
	return report(append(found, judged...))
}

func compare(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("usage: olm-bundle upgrade PREVIOUS CURRENT")
	}
	before, err := manifest.Read(arguments[0])
	if err != nil {
		return err
	}
	after, err := manifest.Read(arguments[1])
	if err != nil {
		return err
	}
	return report(upgrade.Breaks(before, after))
}

// report prints findings, and fails if there are any.
func report(found []string) error {
	for _, one := range found {
		fmt.Println(one)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d findings", len(found))
	}
	return nil
}
