// Command etcd is the stock etcd, which ends with its parent.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/hypermirror/hypermirror/hack/testbed/internal/parent"
)

func main() {
	parent.Watch()
	etcdmain.Main(os.Args)
}
