// Command etcd is a single etcd member for tests: it listens on one client URL and does not wait for the disk.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/hypermirror/hypermirror/hack/testbed/internal/parent"
)

const startTimeout = 30 * time.Second

func main() {
	dataDir := flag.String("data-dir", "", "directory of the data; made if missing")
	clientURL := flag.String("listen-client-url", "", "URL to serve clients on, such as http://127.0.0.1:2379")
	flag.Parse()
	parent.Watch()
	if err := run(*dataDir, *clientURL); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
}

func run(dataDir, clientURL string) error {
	if dataDir == "" || clientURL == "" {
		return fmt.Errorf("--data-dir and --listen-client-url are required")
	}
	client, err := url.Parse(clientURL)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	server, err := embed.StartEtcd(config(dataDir, *client))
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return err
	case <-time.After(startTimeout):
		return fmt.Errorf("not ready after %s", startTimeout)
	}
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}

func config(dataDir string, client url.URL) *embed.Config {
	c := embed.NewConfig()
	c.Dir = dataDir
	c.LogLevel = "warn"
	// The data of a test is thrown away with it.
	c.UnsafeNoFsync = true
	c.ListenClientUrls = []url.URL{client}
	c.AdvertiseClientUrls = []url.URL{client}
	// A member without peers needs a peer listener all the same: any free port of the loopback address.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	c.ListenPeerUrls = []url.URL{peer}
	c.AdvertisePeerUrls = []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	return c
}
