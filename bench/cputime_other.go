//go:build !unix

package bench

import "time"

// CPUTime returns the processor time this process has used so far, of all its
// threads and of the kernel on their behalf; 0 where it cannot be told.
func CPUTime() time.Duration { return 0 }
