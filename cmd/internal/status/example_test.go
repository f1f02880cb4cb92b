package status_test

import (
	"fmt"
	"os"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/status"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// A role adds what it knows itself.
func Example() {
	s := status.Server{Version: "v1.0.0", Started: time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC),
		Web:       web.Stats{Open: 2, Connections: 40, Answered: 35, Refused: map[decision.Kind]uint64{decision.RateLimited: 4, decision.Malformed: 1}},
		SignItems: 30, SignBatches: 12, VerifyItems: 70, VerifyBatches: 25}
	if err := status.Print(os.Stdout, append(s.Facts(), status.Counts(map[string]uint64{"vouchers": 30, "audit-logs": 5})...)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// version      v1.0.0
	// started      2026-06-01T08:00:00Z
	// connections  2 open, 40 in all, 0 refused, 0 handshakes failed
	// requests     0 in work, 35 answered, 0 left
	// refused      1 malformed
	// refused      4 rate-limited
	// log          0 lines left out
	// signatures   30 made in 12 batches, 70 checked in 25 batches
	// audit-logs   5
	// vouchers     30
}
