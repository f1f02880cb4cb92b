package state

import "context"

// A Reader reads one consistent state. It is for one goroutine, and only until
// the function it was given to returns.
type Reader interface {
	// Get returns the value of key, which is the caller's to keep and to change,
	// or [ErrNotFound].
	Get(key []byte) (value []byte, err error)

	// Scan calls f with each key that begins with prefix, in ascending order of
	// the octets. When after is not nil, only with keys greater than after, which
	// need not exist nor begin with prefix: a listing in pages passes the last key
	// it showed. The slices are valid until f returns and are not to be changed.
	// [ErrStop] returned by f ends the scan, which then returns nil; any other
	// error ends it and is returned as it is. f may read and write through the
	// transaction it scans: the scan goes over what was there when it began.
	Scan(prefix, after []byte, f func(key, value []byte) error) error
}

// A Tx reads and writes. It reads what was written through it before.
type Tx interface {
	Reader

	// Set gives key a value. Both slices are copied. Keys of 1 to [MaxKey] octets
	// and values of at most [MaxValue] are taken, up to the limits of one Update:
	// the error is a [*LimitError] otherwise, and the Update then fails even when
	// f returns nil.
	Set(key, value []byte) error

	// Delete removes key. A key that is not there is no error.
	Delete(key []byte) error
}

// A DB is the state of a role. Its methods are safe for concurrent use.
type DB interface {
	// View calls f, once and on the caller's goroutine, with a consistent state of
	// what is durable. It waits for no Update, and no Update waits for it; f may
	// call Update. An Update that returned before View was called is seen. The
	// error is f's, [ErrClosed], or ctx's when it had ended before f was called;
	// once ctx has ended the Reader returns its error too.
	View(ctx context.Context, f func(Reader) error) error

	// Update calls f once, alone: no other f of an Update runs at the same time,
	// and f reads what those before it wrote. When Update returns nil, what f wrote
	// is on disk, all of it. When f returns an error or panics ([*PanicError]),
	// nothing of it is kept and that is the error.
	//
	// When ctx ends before f was called, f is not called and the error is ctx's.
	// After that ctx has no influence: Update waits for the outcome and returns it.
	//
	// f runs on the caller's goroutine or on another, and all other Updates wait for
	// it: it must be quick, wait for nothing, and must not call Update or Close. It
	// may call View, which sees what was durable when f began. One that ends its
	// goroutine (runtime.Goexit) keeps nothing, and may end its caller's.
	//
	// Other errors: [ErrClosed], [ErrReadOnly], a [*FullError] (nothing was run), a
	// [*LimitError], and a [*FailedError] once writing has failed: it is not known
	// then whether what f wrote is on disk.
	Update(ctx context.Context, f func(Tx) error) error

	// Close waits for what runs and gives the resources back. Every later call
	// returns [ErrClosed]; closing again returns nil.
	Close() error
}

const (
	// MaxKey is the length of a key at most, in octets.
	MaxKey = 1 << 10
	// MaxValue is the length of a value at most, in octets.
	MaxValue = 4 << 20
	// MaxUpdateEntries and MaxUpdateBytes are what one Update may write: that many
	// different keys, and that many octets of keys and values up to
	// MaxInline octets long, of which each key costs 32 octets more.
	MaxUpdateEntries = 8 << 10
	MaxUpdateBytes   = 1 << 20
	// MaxInline is the length of a value, in octets, from which on it is kept apart
	// and counts against MaxUpdateLarge in place of MaxUpdateBytes.
	MaxInline = 512 << 10
	// MaxUpdateLarge is how many octets of longer values one Update may write.
	MaxUpdateLarge = 16 << 20
)
