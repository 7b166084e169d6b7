// Command kubelet is the stock kubelet, which ends with its parent.
package main

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/hypermirror/hypermirror/hack/testbed/internal/parent"
)

func main() {
	parent.Watch()
	os.Exit(cli.Run(app.NewKubeletCommand(context.Background())))
}
