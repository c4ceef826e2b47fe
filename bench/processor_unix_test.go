//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processorTime is what this process has spent of it. Unlike the time on the clock it does not grow while the machine does
// something else.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
