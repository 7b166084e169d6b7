// Command kube-controller-manager is the stock controller manager, which ends with its parent.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"github.com/hypermirror/hypermirror/hack/testbed/internal/parent"
)

func main() {
	parent.Watch()
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}
