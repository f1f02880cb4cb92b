package progress_test

import (
	"fmt"
	"os"
	"time"

	"github.com/vouchmill/vouchmill/engine/progress"
)

// oneSecondLater is a clock for the example: a second passes between any two
// looks at it.
type oneSecondLater struct{ now time.Time }

func (c *oneSecondLater) Now() time.Time {
	c.now = c.now.Add(time.Second)
	return c.now
}

func (*oneSecondLater) Ticker(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }

func Example() {
	r, err := progress.Start(progress.Options{
		Job:   "issue",
		Unit:  "vouchers",
		Out:   os.Stdout,
		Total: 1000,
		Clock: new(oneSecondLater),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		r.Issued.Add(250)
		r.Durable.Add(250)
	}
	if err := r.Stop(); err != nil {
		fmt.Println(err)
	}
	// Output: issue: 1,000 of 1,000 issued, 1,000 durable, 1,000 vouchers/s, took 1s
}
