// Package parent ends a server of the test bed when the process that started it is gone.
package parent

import (
	"log"
	"os"
	"strconv"
	"time"
)

// Variable names the environment variable that holds the id of the parent to watch. Unset: the server stays.
const Variable = "TESTBED_PARENT_PID"

const interval = 200 * time.Millisecond

// Watch ends this process soon after its direct parent, the process whose id is in Variable, has ended. Tests that
// are killed cannot clean up behind themselves; this does. The data is thrown away then, so nothing is shut down in
// order. PR_SET_PDEATHSIG would not do: it looks at the thread that forked, and threads of a test come and go.
func Watch() {
	value := os.Getenv(Variable)
	if value == "" {
		return
	}
	pid, err := strconv.Atoi(value)
	if err != nil {
		log.Fatalf("%s: %v", Variable, err)
	}
	go func() {
		for os.Getppid() == pid {
			time.Sleep(interval)
		}
		log.Printf("parent %d is gone: ending", pid)
		os.Exit(1)
	}()
}
