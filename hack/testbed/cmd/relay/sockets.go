package main

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// firstSocket is the number of the first file that a child inherits besides the standard ones.
const firstSocket = 3

// listen makes sockets in another network: a socket belongs to the network of the thread that makes it.
func listen(network string, ports []int) ([]*os.File, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer own.Close()
	other, err := os.Open(network)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter %s: %w", network, err)
	}
	sockets, err := listening(ports)
	// What this process starts is in the network of the node.
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		return nil, fmt.Errorf("leave %s: %w", network, back)
	}
	return sockets, err
}

func listening(ports []int) ([]*os.File, error) {
	var sockets []*os.File
	for _, port := range ports {
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		socket, err := listener.(*net.TCPListener).File()
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

// relay passes connections to all inherited sockets on, until it is told to end.
func relay() error {
	for number := firstSocket; ; number++ {
		listener, err := net.FileListener(os.NewFile(uintptr(number), "socket"))
		if err != nil {
			// The last one was the one before.
			break
		}
		go accept(listener)
	}
	select {}
}

func accept(listener net.Listener) {
	address := listener.Addr().String()
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			to, err := net.Dial("tcp4", address)
			if err != nil {
				_ = from.Close()
				return
			}
			both(from, to)
		}()
	}
}
