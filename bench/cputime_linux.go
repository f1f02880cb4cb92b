package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPUTimeOf returns what CPUTime does of another process: Linux has a clock of
// each (clock_getcpuclockid(3)). It is 0 where there is no such process.
func CPUTimeOf(pid int) time.Duration {
	const schedulerClock = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|schedulerClock, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
