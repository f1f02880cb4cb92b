package admin

import (
	"context"
	"errors"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

// commandTime is how long a server that starts waits for a command that works on
// its store, as one does that was begun just before it.
var commandTime = 10 * time.Second

// Patiently calls open again, for some seconds, while it fails because another
// process has the store open (a *state.LockedError). It returns what open
// returned last, or the context's cause.
func Patiently(ctx context.Context, open func() error) error {
	deadline := time.NewTimer(commandTime)
	defer deadline.Stop()
	for {
		err := open()
		var locked *state.LockedError
		if !errors.As(err, &locked) {
			return err
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return err
		}
	}
}
