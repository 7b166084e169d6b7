// Package parent ends a server of the test bed when the process that started it is gone.
package parent

import (
	"log"
	"os"
	"strconv"
	"time"
)

const (
	// pidVariable holds the id of the parent to watch. Unset: the server stays.
	pidVariable = "TESTBED_PARENT_PID"
	// removeVariable holds a directory to remove once the parent is gone. Only one server of a bed is given it.
	removeVariable = "TESTBED_REMOVE_DIR"

	interval = 200 * time.Millisecond
	// settle is how long the other servers have to notice and to stop writing before their directory goes.
	settle = 5 * interval
)

// Watch ends this process soon after its direct parent has ended. A test that is killed cannot clean up behind
// itself; this does. The data is thrown away then, so nothing is shut down in order. PR_SET_PDEATHSIG would not do:
// it looks at the thread that forked, and threads of a test come and go.
func Watch() {
	go func() {
		<-Gone()
		if dir := os.Getenv(removeVariable); dir != "" {
			time.Sleep(settle)
			if err := os.RemoveAll(dir); err != nil {
				log.Print(err)
			}
		}
		os.Exit(1)
	}()
}

// Gone is closed soon after the direct parent of this process has ended; never when nobody said to watch it.
func Gone() <-chan struct{} {
	gone := make(chan struct{})
	value := os.Getenv(pidVariable)
	if value == "" {
		return gone
	}
	pid, err := strconv.Atoi(value)
	if err != nil {
		log.Fatalf("%s: %v", pidVariable, err)
	}
	go func() {
		for os.Getppid() == pid {
			time.Sleep(interval)
		}
		log.Printf("parent %d is gone: ending", pid)
		close(gone)
	}()
	return gone
}
