package store

import (
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/vouchmill/vouchmill/engine/internal/badgerdir"
)

// Options say how a store is opened. The zero value opens an existing store
// for reading and writing with the defaults.
type Options struct {
	// Create makes the directory and the store when they do not exist.
	Create bool
	// ReadOnly opens the store for reading. A store that was not closed
	// cleanly is recovered first, which writes.
	ReadOnly bool
	// CommitBytes of pages go into one transaction. Default 4 MiB, at most 32 MiB.
	CommitBytes int
	// SyncBytes of committed pages, or SyncInterval of time, are made durable
	// by one fsync. Defaults 64 MiB and 500 ms. At twice SyncBytes not yet
	// durable the appender waits for the disk.
	SyncBytes    int64
	SyncInterval time.Duration
	// Reserve octets stay free on the disk: Badger writes through memory maps,
	// where a full disk is a fatal signal. Default 256 MiB.
	Reserve uint64
	// FreeSpace returns the free octets of the file system that holds dir.
	// Default: what the operating system says.
	FreeSpace func(dir string) (uint64, error)
}

const (
	memTableSize   = 4 << 20
	memTables      = 2
	valueThreshold = 1 << 10   // pages and index chunks go to the value log
	valueLogSize   = 256 << 20 // octets a file
	maxCommitPages = 512       // of less than valueThreshold each, they fit one transaction
)

func (o Options) withDefaults() Options {
	if o.CommitBytes <= 0 {
		o.CommitBytes = 4 << 20
	}
	o.CommitBytes = min(o.CommitBytes, 32<<20)
	if o.SyncBytes <= 0 {
		o.SyncBytes = 64 << 20
	}
	if o.SyncInterval <= 0 {
		o.SyncInterval = 500 * time.Millisecond
	}
	if o.Reserve == 0 {
		o.Reserve = 256 << 20
	}
	if o.FreeSpace == nil {
		o.FreeSpace = badgerdir.FreeSpace
	}
	return o
}

// badgerOptions: one writer, values written once and read rarely, signatures
// that no compression shrinks, and memory that does not grow with the run.
func badgerOptions(dir string, readOnly bool) badger.Options {
	return badger.DefaultOptions(dir).
		WithReadOnly(readOnly).
		WithLogger(nil).
		WithMetricsEnabled(false).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(memTables).
		WithNumCompactors(2).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLogSize).
		// A bit flip in a length must not reach the decoder behind it.
		WithVerifyValueChecksum(true)
}
