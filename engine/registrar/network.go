package registrar

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"
)

// A Network carries calls to MASAs. It is safe for concurrent use.
//
// Its duties: TLS of at least 1.2, whose server certificate leads to the call's
// anchors and names the URL's host (RFC 9525); the registrar's certificate as
// TLS client where it is asked for one; no redirects followed, no cookies; where
// the anchors are the system's, no address that is loopback, private,
// link-local, unique-local or a cloud's metadata service, judged when it is
// dialled, unless the host is among MASATrust.Hosts. The device chose the URL.
type Network interface {
	// Do makes one call. The error is a *NetworkError or the context's cause. A
	// body longer than Call.MaxBody is not read to its end: the Reply then holds
	// one octet more than MaxBody.
	Do(ctx context.Context, c *Call) (*Reply, error)
}

// A Call is one HTTP request to a MASA.
type Call struct {
	Method, URL         string // https alone
	ContentType, Accept string // "" leaves the field out
	Body                []byte
	MaxBody             int // octets of the reply's body at most
	Trust               *MASATrust
}

// MASATrust says which servers a call may end at.
type MASATrust struct {
	// Anchors are all that counts where there are any; nil stands for the
	// operating system's.
	Anchors []*x509.Certificate
	// Hosts may have any address, in the form HOST or HOST:PORT.
	Hosts []string
}

// A Reply is what a MASA answered.
type Reply struct {
	Status                int
	ContentType, Location string
	RetryAfter            time.Duration // 0 when none was stated
	Body                  []byte
}

// A NetworkError is a call that had no answer.
type NetworkError struct {
	Connected bool // the request may have been sent
	Timeout   bool // it took too long
	Address   bool // refused by the address policy; nothing was sent
	Err       error
}

// Error says how far the call came.
func (e *NetworkError) Error() string {
	switch {
	case e.Address:
		return fmt.Sprintf("address refused: %v", e.Err)
	case e.Timeout:
		return fmt.Sprintf("no answer in time: %v", e.Err)
	case e.Connected:
		return fmt.Sprintf("the connection broke: %v", e.Err)
	}
	return fmt.Sprintf("no connection: %v", e.Err)
}

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }
