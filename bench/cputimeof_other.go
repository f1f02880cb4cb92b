//go:build !linux

package bench

import "time"

// CPUTimeOf is not known here.
func CPUTimeOf(int) time.Duration { return 0 }
