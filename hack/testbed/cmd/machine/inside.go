package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

var (
	// layered are directories of the host that the machine reads, and writes to a layer of its own.
	layered = []string{"/etc", "/var/lib", "/var/log"}
	// own are directories that the machine shares with nobody: below its directory, and so open to whoever started it.
	own = []string{
		"/etc/cni", "/etc/containers", "/etc/crio", "/etc/kubernetes", "/run",
		"/var/lib/cni", "/var/lib/containers", "/var/lib/crio", "/var/lib/kubelet", "/var/log/crio", "/var/log/pods",
	}
	// copied are files that a container runtime mounts over those of the host's /etc: a layer does not show them.
	copied = []string{"/etc/hosts", "/etc/resolv.conf"}
)

// inner is the first process of the machine: it makes the file system, adopts and reaps, and takes all others with it.
func inner(dir string) error {
	if err := fileSystem(dir); err != nil {
		return err
	}
	outside, err := outsideID()
	if err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	up := map[string]string{"message": "machine is up", "pid": outside}
	if err := json.NewEncoder(os.Stdout).Encode(up); err != nil {
		return err
	}
	go reap()
	// Ends when whoever holds the other end closes it, or is gone.
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// outsideID is the id by which the processes outside know this one. /proc is still theirs.
func outsideID() (string, error) {
	target, err := os.Readlink("/proc/self")
	return filepath.Base(target), err
}

// reap waits for the processes whose parents have ended, as the first process has to.
func reap() {
	for {
		// Blocks while there is a child; with none there is nothing to wait for but a moment.
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			pause()
		}
	}
}

func pause() {
	moment := syscall.Timespec{Nsec: 50_000_000}
	_ = syscall.Nanosleep(&moment, nil)
}

func fileSystem(dir string) error {
	// Nothing that is mounted here is seen outside; within, containers see what comes later, as on any node.
	for _, kind := range []uintptr{syscall.MS_PRIVATE, syscall.MS_SHARED} {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|kind, ""); err != nil {
			return fmt.Errorf("propagation of /: %w", err)
		}
	}
	contents := map[string][]byte{}
	for _, path := range copied {
		if text, err := os.ReadFile(path); err == nil {
			contents[path] = text
		}
	}
	layers := filepath.Join(dir, "layers")
	if err := mount("tmpfs", layers, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for index, path := range layered {
		if err := layer(filepath.Join(layers, itoa(index)), path); err != nil {
			return err
		}
	}
	for path, text := range contents {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	for _, path := range own {
		from := filepath.Join(dir, path)
		if err := os.MkdirAll(from, 0o755); err != nil {
			return err
		}
		if err := mount(from, path, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// layer makes a directory writable without a trace.
func layer(place, path string) error {
	upper, work := filepath.Join(place, "upper"), filepath.Join(place, "work")
	for _, made := range []string{upper, work} {
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", path, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", path, upper, work))
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

func itoa(number int) string { return strconv.Itoa(number) }
