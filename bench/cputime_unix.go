//go:build unix

package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime returns the processor time this process has used so far, of all its
// threads and of the kernel on their behalf; 0 where it cannot be told.
func CPUTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
