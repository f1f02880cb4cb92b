package admin

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

func TestAServerWaitsForACommandAndNotForEver(t *testing.T) {
	defer func(d time.Duration) { commandTime = d }(commandTime)
	commandTime = time.Hour
	tries := 0
	if err := Patiently(t.Context(), func() error {
		if tries++; tries < 3 {
			return &state.LockedError{Dir: "state", PID: 7}
		}
		return nil
	}); err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	other := errors.New("no such disk")
	if err := Patiently(t.Context(), func() error { return other }); err != other {
		t.Errorf("error %v", err)
	}
	locked := func() error { return &state.LockedError{Dir: "state", PID: 7} }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Patiently(ctx, locked); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	commandTime = 0
	var e *state.LockedError
	if err := Patiently(t.Context(), locked); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}
