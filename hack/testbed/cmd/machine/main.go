// Command machine is a machine of its own for a node: processes started in its namespaces see only each other, and a
// node's usual paths, all of which lie below the directory that is given. When it ends nothing of them is left, neither
// a process nor a mount: the kernel takes both with the namespaces.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/hypermirror/hypermirror/hack/testbed/internal/parent"
)

// inside is how the program calls itself within the namespaces.
const inside = "inside"

func main() {
	log.SetFlags(0)
	var err error
	switch {
	case len(os.Args) == 2:
		err = outer(os.Args[1])
	case len(os.Args) == 3 && os.Args[1] == inside:
		err = inner(os.Args[2])
	default:
		err = fmt.Errorf("usage: machine DIRECTORY")
	}
	if err != nil {
		log.Fatal(err)
	}
}

// outer starts the first process of the machine, ends it when it is told to or the parent is gone, and removes the
// control groups that its containers leave.
func outer(dir string) error {
	// The kernel looks at this thread for whether the parent of the first process lives.
	runtime.LockOSThread()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	gone := parent.Gone()

	first := exec.Command("/proc/self/exe", inside, dir)
	first.Stdout, first.Stderr = os.Stdout, os.Stderr
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	// Closed with this process, whatever ends it.
	leash, err := first.StdinPipe()
	if err != nil {
		return err
	}
	if err := first.Start(); err != nil {
		return fmt.Errorf("a machine of its own: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("the first process ended: %w", err)
	case <-end:
	case <-gone:
	}
	ids := containers(dir)
	if err := leash.Close(); err != nil {
		return err
	}
	<-ended
	removeControlGroups(ids)
	return nil
}
