package bench

import (
	"testing"
	"time"
)

// ReportCPU adds the processor time a unit of work took, as ns-cpu/unit, where
// it is known. Other programs on the machine disturb it far less than they do
// the time of the wall, and what the garbage collector did elsewhere is in it.
func ReportCPU(b *testing.B, spent time.Duration, units float64, unit string) {
	if spent > 0 {
		b.ReportMetric(float64(spent)/units, "ns-cpu/"+unit)
	}
}
