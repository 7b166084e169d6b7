// Command relay is a CNI plugin for pods without the host's network. Their network has a loopback device only; the relay passes
// connections to some ports of it on to the same ports of the node's. So such a pod reaches the registries of the test bed, which
// listen on the loopback address, by the same address as everybody else, and nothing of the host's network is changed.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// serve is how the program calls itself to pass connections on.
const serve = "serve"

// pids is the directory with the process of each pod.
const pids = "/run/relay"

// configuration is what the runtime writes to the standard input of a plugin.
type configuration struct {
	CNIVersion string `json:"cniVersion"`
	// Ports is a file of the node with a port in each line. It is read for each pod that starts.
	Ports      string          `json:"ports"`
	PrevResult json.RawMessage `json:"prevResult"`
}

func main() {
	log.SetFlags(0)
	var err error
	if len(os.Args) == 2 && os.Args[1] == serve {
		err = relay()
	} else {
		err = plugin(os.Getenv("CNI_COMMAND"))
	}
	if err != nil {
		// The runtime reads errors of plugins from the standard output.
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"cniVersion": "0.4.0", "code": 100, "msg": err.Error()})
		log.Fatal(err)
	}
}

func plugin(command string) error {
	if command == "VERSION" {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{
			"cniVersion": "1.0.0", "supportedVersions": []string{"0.3.1", "0.4.0", "1.0.0"},
		})
	}
	var config configuration
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	switch command {
	case "ADD":
		if err := add(config.Ports); err != nil {
			return err
		}
		_, err := os.Stdout.Write(config.PrevResult)
		return err
	case "DEL":
		return remove()
	default:
		return nil
	}
}

// add starts a process that passes connections on. It inherits sockets that listen already, so nobody has to wait for it.
func add(file string) error {
	ports, err := read(file)
	if err != nil || len(ports) == 0 {
		return err
	}
	sockets, err := listen(os.Getenv("CNI_NETNS"), ports)
	if err != nil {
		return err
	}
	child := exec.Command("/proc/self/exe", serve)
	child.ExtraFiles = sockets
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := child.Start(); err != nil {
		return fmt.Errorf("start the relay: %w", err)
	}
	if err := os.MkdirAll(pids, 0o755); err != nil {
		return err
	}
	return os.WriteFile(pidFile(), []byte(strconv.Itoa(child.Process.Pid)), 0o644)
}

// remove ends the process of a pod. A pod that has none, or is removed twice, is no error.
func remove() error {
	text, err := os.ReadFile(pidFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return os.Remove(pidFile())
}

func pidFile() string {
	return filepath.Join(pids, os.Getenv("CNI_CONTAINERID")+"-"+os.Getenv("CNI_IFNAME"))
}

func read(file string) ([]int, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var ports []int
	for _, word := range strings.Fields(string(text)) {
		port, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		ports = append(ports, port)
	}
	return ports, err
}

func both(one, other io.ReadWriteCloser) {
	defer one.Close()
	defer other.Close()
	ended := make(chan struct{}, 2)
	pass := func(to io.WriteCloser, from io.Reader) {
		_, _ = io.Copy(to, from)
		// The other direction may still have something to pass on.
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		ended <- struct{}{}
	}
	go pass(one, other)
	go pass(other, one)
	<-ended
	<-ended
}
