// Command kube-scheduler is the stock scheduler, which ends with its parent.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/hypermirror/hypermirror/hack/testbed/internal/parent"
)

func main() {
	parent.Watch()
	os.Exit(cli.Run(app.NewSchedulerCommand()))
}
