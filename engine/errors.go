package engine

import (
	"errors"
	"fmt"
)

// A Stage is one of the three steps every batch goes through.
type Stage uint8

// The stages, in the order a batch meets them.
const (
	StageFill Stage = iota // puts devices into the batch
	StageWork              // encodes, hashes and signs
	StageSink              // commits, in input order
)

// String returns "fill", "work" or "sink".
func (s Stage) String() string {
	switch s {
	case StageFill:
		return "fill"
	case StageWork:
		return "work"
	case StageSink:
		return "sink"
	}
	return fmt.Sprintf("stage %d", uint8(s))
}

// ErrNoBatch is what Stages.Fill returns when nothing is left and the batch
// it was given was not used. It ends the run without an error. It is compared
// by identity: an end of file that was not expected, wrapped or not, is never
// taken for the end of the work.
var ErrNoBatch = errors.New("engine: no batch left to fill")

// ErrClosed is returned by a Ring or an Online pool that was closed.
var ErrClosed = errors.New("engine: closed; nothing more is taken in")

// A ConfigError names a setting that cannot be used.
type ConfigError struct {
	Field  string // name of the field, as in "Config.Slots"
	Value  int    // what it was
	Reason string // what it must be
}

// Error names the setting, its value and what it must be.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("engine: %s is %d: %s", e.Field, e.Value, e.Reason)
}

// A StageError says which batch failed in which stage. Every batch before it
// in sequence has left the sink.
type StageError struct {
	Stage Stage
	Seq   uint64 // sequence number of the batch, from 0
	Place string // what Stages.Place said of the batch; empty if there is none
	Err   error  // what the stage returned; also by Unwrap
}

// Error names the stage, the batch, its place and the cause.
func (e *StageError) Error() string {
	return fmt.Sprintf("%s: %v", place(e.Stage, e.Seq, e.Place), e.Err)
}

// Unwrap returns what the stage returned.
func (e *StageError) Unwrap() error { return e.Err }

// A PanicError says that a stage panicked and on which batch. Every batch
// before it in sequence has left the sink. A stage that ended its goroutine
// with runtime.Goexit is reported the same way, with a nil Value.
type PanicError struct {
	Stage Stage
	Seq   uint64 // sequence number of the batch, from 0; for an Online pool, 0
	Place string // what Stages.Place said of the batch; empty if there is none
	Value any    // what was recovered
	Stack []byte // stack of the goroutine that panicked
}

// Error names the stage, the batch, its place and the value, without the stack.
func (e *PanicError) Error() string {
	if e.Value == nil {
		return place(e.Stage, e.Seq, e.Place) + ": the stage ended its goroutine"
	}
	return fmt.Sprintf("%s: panic: %v", place(e.Stage, e.Seq, e.Place), e.Value)
}

// Unwrap returns the recovered value if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A StopError says that a run was stopped from outside before its end.
type StopError struct {
	// Delivered counts the batches that left the sink: those with sequence
	// numbers below it, and no others.
	Delivered uint64
	// Aborted is false if everything that had been filled was finished and
	// delivered, true if filled batches were dropped.
	Aborted bool
	// Cause is why the context was cancelled; also by Unwrap.
	Cause error
}

// Error says how the run was stopped, how far it had come and why.
func (e *StopError) Error() string {
	how := "stopped, all that was filled is delivered"
	if e.Aborted {
		how = "aborted"
	}
	return fmt.Sprintf("engine: %s after %d batches: %v", how, e.Delivered, e.Cause)
}

// Unwrap returns the cause, so that errors.Is(err, context.Canceled) holds.
func (e *StopError) Unwrap() error { return e.Cause }

func place(stage Stage, seq uint64, where string) string {
	if where == "" {
		return fmt.Sprintf("engine: %v of batch %d", stage, seq)
	}
	return fmt.Sprintf("engine: %v of batch %d (%s)", stage, seq, where)
}
