package pledge

import (
	"context"
	"crypto"
	"crypto/x509"

	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A Network carries calls to registrars. The program cmd/pledge has one over
// TCP and TLS in its folder client; a test passes values.
//
// Nothing that comes back is trusted. Exchange follows no redirect, keeps no
// cookie and answers no challenge. Its error is the one of Call.Prepare, a
// *decision.Refusal about an answer that is too large, or anything else, which
// counts as trouble of the network: the device then tries another registrar.
// It must end, with an error, when no octet comes for long, and at once when ctx
// ends: the device waits for that. Calls of different connections come at the same
// time, each on a goroutine of its own; calls of one connection do not.
type Network interface {
	Exchange(ctx context.Context, c *Call) (*Reply, error)
}

// A Releaser is a Network that wants to know when a connection of a certain
// name will not be used again. No call of that connection is under way then, but
// calls of others may be.
type Releaser interface {
	Release(connection string)
}

// A Call is one request to a registrar. Network implementations do not change it.
type Call struct {
	// Registrar is the origin, https://HOST or https://HOST:PORT.
	Registrar string
	// Connection names a TLS connection. Calls of one name go over one
	// connection, as long as it lasts: it is set up again where it broke, and
	// Prepare then says whether the peer is still the same.
	Connection string
	// Identity is what to authenticate with as TLS client, whatever certificate
	// authorities the server hints at.
	Identity Identity
	// ServerName is sent as SNI (RFC 6066 §3); "" sends none.
	ServerName string
	// Method is GET or POST; Path begins with a slash and may have a query.
	Method, Path string
	// ContentType is that of the body; Accept what is understood in return.
	ContentType, Accept string
	// MaxBody is the longest answer to be read, in octets.
	MaxBody int
	// Prepare is called once for each attempt to send, with the certificates
	// that the server presented in the handshake of the connection in use, in
	// their order. The server has proved that it holds the key of the first;
	// nothing else about them was checked. Prepare returns the body, nil where
	// there is none. Nothing is sent before it, nor after it failed.
	Prepare func(peer []*x509.Certificate) (body []byte, err error)
}

// A Reply is what came back.
type Reply struct {
	Status                            int
	ContentType, Location, RetryAfter string
	// Body is at most Call.MaxBody octets long, and the receiver's.
	Body []byte
	// Binding names the TLS connection the answer came over.
	Binding exchange.Binding
}

// An Identity is a key and its certificates: the end entity's, then its issuers.
// The key signs for several connections at a time.
type Identity struct {
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// Paths of BRSKI (RFC 8995 §5, §8.3.1) and EST (RFC 7030 §3.2.2).
const (
	pathBRSKI = "/.well-known/brski/"
	pathEST   = "/.well-known/est/"
)

// maxPeers bounds the certificate list of a TLS server.
const maxPeers = 16
