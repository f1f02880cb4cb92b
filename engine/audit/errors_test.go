package audit_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/state"
)

func TestErrorsNamePlaceCauseAndRemedy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want []string
	}{
		{&audit.EventError{Field: "nonce", Problem: "is long"}, []string{"nonce", "is long"}},
		{&audit.ProofError{Part: "event 3", Err: os.ErrInvalid}, []string{"event 3", "invalid argument"}},
		{&audit.DamageError{Part: "event", Index: 7, Err: os.ErrInvalid}, []string{"event 7", "invalid argument", "from a copy"}},
		{&audit.ResponseError{Place: "events[2]", Err: os.ErrInvalid}, []string{"events[2]", "invalid argument"}},
		{&audit.ResponseError{Err: os.ErrInvalid}, []string{"answer: invalid"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.err.Error(), want) {
				t.Errorf("%q lacks %q", c.err, want)
			}
		}
		if cause := errors.Unwrap(c.err); cause != nil && cause != os.ErrInvalid {
			t.Errorf("%q wraps %v", c.err, cause)
		}
	}
}

func TestWithoutSaltsNothingIsLogged(t *testing.T) {
	b := newBench(t)
	if _, err := audit.New(nil, nil); err == nil {
		t.Error("a log without a signer was made")
	}
	log, err := audit.New(b.log.Signer(), strings.NewReader("short"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.db.Update(background, func(tx state.Tx) error {
		_, err := log.Append(tx, voucher(1, deviceA, "d", "n"))
		return err
	}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

// A log that lost its size would otherwise begin again at 0, over its events.
func TestALogIsNotWrittenOver(t *testing.T) {
	b := newBench(t)
	b.append(voucher(1, deviceA, "d", "n"))
	var damage *audit.DamageError
	if err := b.db.Update(background, func(tx state.Tx) error {
		if err := tx.Delete([]byte("audit/n")); err != nil {
			return err
		}
		_, err := b.log.Append(tx, voucher(2, deviceA, "d", "n"))
		return err
	}); !errors.As(err, &damage) {
		t.Errorf("error %v, want that the log is damaged", err)
	}
}
