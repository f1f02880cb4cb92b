package main

import "github.com/vouchmill/vouchmill/cmd/internal/program"

// Exit codes, the same for all sub-commands.
const (
	exitDone        = program.Done
	exitFailed      = program.Failed // some vouchers failed, or a bad row stopped the run
	exitUsage       = program.Usage
	exitIO          = program.IO
	exitInterrupted = program.Interrupted // durable, the same command continues
)

// An exitError is an error together with the exit code it means.
type exitError = program.Error

func usageError(format string, a ...any) error { return program.Usagef(format, a...) }

// ioError gives err the exit code of trouble with files and stores, unless it
// has a code already or comes from an interruption.
func ioError(err error) error { return program.IOError(err) }
