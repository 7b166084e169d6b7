// Command distribution is the stock registry of the distribution project, with the file system as its only storage: the SDKs of
// clouds take minutes to build.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/hypermirror/hypermirror/hack/registries/internal/parent"
)

func main() {
	parent.Watch()
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
