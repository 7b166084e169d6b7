// Package parent ends a registry when the process that started it is gone, as the servers of hack/testbed do: a test that is
// killed cannot clean up behind itself. In a module of its own, so that no version here changes what the test bed is built of.
package parent

import (
	"log"
	"os"
	"strconv"
	"time"
)

const (
	// pidVariable holds the id of the parent to watch. Unset: the registry stays.
	pidVariable = "TESTBED_PARENT_PID"

	interval = 200 * time.Millisecond
)

// Watch ends this process soon after its direct parent has ended.
func Watch() {
	value := os.Getenv(pidVariable)
	if value == "" {
		return
	}
	pid, err := strconv.Atoi(value)
	if err != nil {
		log.Fatalf("%s: %v", pidVariable, err)
	}
	go func() {
		for os.Getppid() == pid {
			time.Sleep(interval)
		}
		log.Fatalf("parent %d is gone: ending", pid)
	}()
}
