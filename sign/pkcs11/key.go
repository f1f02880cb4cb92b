package pkcs11

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/sign"
)

// Options are the settings of a key. The zero value is the recommended setting.
type Options struct {
	// Sessions is how many signatures are made at once, 0 for DefaultSessions.
	// The token may allow fewer.
	Sessions int
	// Patience is how long to wait for a token that went away while in use,
	// 0 for DefaultPatience; negative waits not at all.
	Patience time.Duration
	// Waiting, if not nil, is called before each attempt to connect anew, with
	// what happened. It must not call the key.
	Waiting func(cause error)
}

// DefaultSessions suits network HSMs; smart cards allow fewer.
const DefaultSessions = 16

// MaxSessions bounds Options.Sessions.
const MaxSessions = 1024

// DefaultPatience is what a network HSM takes to restart, or a hand to plug a
// token in again.
const DefaultPatience = time.Minute

// Waits between attempts to connect anew.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

// connection is one login to a token with the key found on it. It is safe for
// concurrent use; its errors are what this package documents.
type connection interface {
	Public() crypto.PublicKey
	Sign(digest []byte, opts crypto.SignerOpts) ([]byte, error)
	Close() error
}

// Key is a key on a token, safe for concurrent use. It is a crypto.Signer.
type Key struct {
	uri      *URI
	opts     Options
	public   crypto.PublicKey
	lax      *sign.LaxPermissions
	connect  func() (connection, *sign.LaxPermissions, error)
	sessions chan struct{} // one place for each signature under way

	done     chan struct{} // closed by Close, ends waiting
	closing  sync.Once
	signed   atomic.Uint64
	anew     atomic.Uint64
	inFlight atomic.Int64
	down     atomic.Bool

	mu         sync.RWMutex // read by signatures, written to connect anew
	conn       connection   // nil while the token is away
	generation uint64       // counts connections
	final      error        // why no further attempt is made, nil if one may be
}

// Open connects to the token that a URI names and finds the key. The errors are
// [*URIError], [*Error], [*sign.AlgorithmError] for keys that cannot sign here,
// and those of this package, all for errors.Is and errors.As.
func Open(uri string, opts Options) (*Key, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	if unsupported != nil {
		return nil, unsupported
	}
	return open(u, opts, connect)
}

// open takes the way to connect from its caller; tests have their own.
func open(u *URI, opts Options, dial func(*URI, []byte, int) (connection, error)) (*Key, error) {
	if opts.Sessions < 0 || opts.Sessions > MaxSessions {
		return nil, &sign.UsageError{Reason: fmt.Sprintf("%d sessions were asked for; 1 to %d, or 0 for %d", opts.Sessions, MaxSessions, DefaultSessions)}
	}
	if opts.Sessions == 0 {
		opts.Sessions = DefaultSessions
	}
	if opts.Patience == 0 {
		opts.Patience = DefaultPatience
	}
	k := &Key{uri: u, opts: opts, sessions: make(chan struct{}, opts.Sessions), done: make(chan struct{})}
	k.connect = func() (connection, *sign.LaxPermissions, error) {
		pin, lax, err := u.readPIN()
		if err != nil {
			return nil, nil, err
		}
		defer clear(pin)
		conn, err := dial(u, pin, opts.Sessions)
		return conn, lax, err
	}
	var err error
	if k.conn, k.lax, err = k.connect(); err != nil {
		return nil, err
	}
	k.public = k.conn.Public()
	if _, err := k.NewSigner(nil); err != nil { // a key we can sign with at all
		k.conn.Close()
		return nil, err
	}
	return k, nil
}

// Public is the public key, read when the key was opened.
func (k *Key) Public() crypto.PublicKey { return k.public }

// URI names the key.
func (k *Key) URI() string { return k.uri.String() }

// LaxPIN is not nil when the permissions of the PIN's file deserve a warning.
func (k *Key) LaxPIN() *sign.LaxPermissions { return k.lax }

// maxAttempts is how often one signature is tried when the connection is lost
// each time.
const maxAttempts = 3

// Sign signs a digest on the token, a DER signature. It waits for a free
// session, and for a token that went away. The token uses its own randomness.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.inFlight.Add(1)
	defer k.inFlight.Add(-1)
	select {
	case k.sessions <- struct{}{}:
	case <-k.done:
		return nil, sign.ErrClosed
	}
	defer func() { <-k.sessions }()
	var err error
	for range maxAttempts {
		sig, generation, failure := k.try(digest, opts)
		if failure == nil {
			k.signed.Add(1)
			return sig, nil
		}
		if err = failure; !isLost(failure) {
			return nil, failure
		}
		if failure := k.reconnect(generation, failure); failure != nil {
			return nil, failure
		}
	}
	return nil, err
}

// errAway stands for a connection that is not there.
var errAway = &Error{Op: "signing", Code: 0xe0}

// try signs once on the connection there is.
func (k *Key) try(digest []byte, opts crypto.SignerOpts) ([]byte, uint64, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.final != nil {
		return nil, 0, k.final
	}
	if k.conn == nil {
		return nil, k.generation, errAway
	}
	sig, err := k.conn.Sign(digest, opts)
	return sig, k.generation, err
}

func isLost(err error) bool {
	var failure *Error
	return errors.As(err, &failure) && failure.Lost()
}

// reconnect replaces the connection that failed, unless another signature has
// done so already. While the token was there it waits for it with patience;
// once that was in vain, each further signature makes one attempt.
func (k *Key) reconnect(generation uint64, cause error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.final != nil || k.generation != generation {
		return k.final
	}
	patience := k.opts.Patience
	if k.conn == nil {
		patience = -1
	} else {
		k.conn.Close()
		k.conn = nil
	}
	k.down.Store(true)
	deadline, pause := time.Now().Add(patience), firstPause
	for {
		if k.opts.Waiting != nil {
			k.opts.Waiting(cause)
		}
		err := k.attempt()
		if err == nil {
			return nil
		}
		if k.final != nil || patience < 0 || time.Now().Add(pause).After(deadline) {
			return fmt.Errorf("the connection to the token was lost (%w) and not found again: %w", cause, err)
		}
		cause = err
		select {
		case <-time.After(pause):
		case <-k.done:
			return sign.ErrClosed
		}
		pause = min(2*pause, lastPause)
	}
}

// attempt connects once. A refused PIN and another key under the name are
// final: the first would lock the token, the second sign with the wrong key.
func (k *Key) attempt() error {
	select {
	case <-k.done:
		return sign.ErrClosed
	default:
	}
	conn, _, err := k.connect()
	var failure *Error
	switch {
	case errors.As(err, &failure) && failure.Refused():
		k.final = err
	case err == nil && !samePublic(conn.Public(), k.public):
		conn.Close()
		err = ErrOtherKey
		k.final = err
	case err == nil:
		k.conn = conn
		k.generation++
		k.anew.Add(1)
		k.down.Store(false)
	}
	return err
}

func samePublic(a, b crypto.PublicKey) bool {
	equal, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && equal.Equal(b)
}

// Stats is what a key is doing.
type Stats struct {
	Signed     uint64 // signatures made
	Waiting    int    // signatures asked for and not yet made
	Reconnects uint64 // how often the token was connected anew
	Down       bool   // the token is away
}

// Stats may be called at any time, also while signatures wait.
func (k *Key) Stats() Stats {
	return Stats{Signed: k.signed.Load(), Waiting: int(k.inFlight.Load()), Reconnects: k.anew.Load(), Down: k.down.Load()}
}

// Close ends waiting, waits for signatures under way on the token and logs out.
// It may be called more than once; later signatures fail with sign.ErrClosed.
func (k *Key) Close() error {
	k.closing.Do(func() { close(k.done) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.final = sign.ErrClosed
	if k.conn == nil {
		return nil
	}
	err := k.conn.Close()
	k.conn = nil
	return err
}
