//go:build unix

package bench

import (
	"syscall"
	"time"
)

// processorTime returns the processor time of this process. Unlike the time on the clock it does
// not grow while other programs run.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
