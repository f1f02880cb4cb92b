package main

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes, the same for all sub-commands.
const (
	exitDone        = 0
	exitFailed      = 1 // some vouchers failed, or a bad row stopped the run
	exitUsage       = 2 // usage or configuration
	exitIO          = 3 // store or I/O
	exitInterrupted = 4 // by a signal; durable, the same command continues
)

// An exitError is an error together with the exit code it means. A nil err
// exits silently: the sub-command has said what there is to say.
type exitError struct {
	code int
	err  error
}

// Error returns the message, "" for a silent exit.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap gives the cause.
func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, a ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, a...)}
}

// ioError gives err the exit code of trouble with files and stores, unless it
// has a code already or comes from an interruption.
func ioError(err error) error {
	var exit *exitError
	switch {
	case err == nil || errors.As(err, &exit):
		return err
	case errors.Is(err, context.Canceled):
		return &exitError{exitInterrupted, err}
	}
	return &exitError{exitIO, err}
}
