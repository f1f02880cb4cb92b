package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A Certificate is the server's certificate and key, which can be changed while
// it serves. It is safe for concurrent use.
type Certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// NewCertificate returns one that starts with c.
func NewCertificate(c *tls.Certificate) *Certificate {
	held := new(Certificate)
	held.Set(c)
	return held
}

// Set changes the certificate for the connections that begin from now on.
func (c *Certificate) Set(next *tls.Certificate) { c.current.Store(next) }

// Get returns the current one.
func (c *Certificate) Get() (*tls.Certificate, error) {
	if held := c.current.Load(); held != nil {
		return held, nil
	}
	return nil, errors.New("web: the server has no certificate")
}

// serverTLS is how roles are served: TLS 1.2 and 1.3, HTTP/1.1 alone (a client
// certificate belongs to a whole connection), without session tickets, without
// looking at SNI (a pledge sends none), and asking for a client certificate of
// whatever authority.
func serverTLS(certificate func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		ClientAuth:             tls.RequestClientCert, // with no ClientCAs: the request names no authorities
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
	}
}

// exporterLabel and exporterBytes are those of tls-exporter (RFC 9266 §4).
const (
	exporterLabel = "EXPORTER-Channel-Binding"
	exporterBytes = 32
)

// A connection is what a request's role is told of it, and by whom its requests
// are counted. It does not change from request to request.
type connection struct {
	once    sync.Once
	peer    []*x509.Certificate
	binding exchange.Binding
	who     client
}

// connectionKey is what a connection is found by in its requests' context.
type connectionKey struct{}

func withConnection(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// connectionOf returns the connection of a request, whose handshake is over.
func connectionOf(hr *http.Request) *connection {
	c, ok := hr.Context().Value(connectionKey{}).(*connection)
	if !ok { // nobody's connection
		c = new(connection)
	}
	c.once.Do(func() { c.describe(hr) })
	return c
}

func (c *connection) describe(hr *http.Request) {
	if state := hr.TLS; state != nil {
		c.peer = state.PeerCertificates
		if state.Version < tls.VersionTLS13 {
			c.binding.Unique = state.TLSUnique
		} else if exporter, err := state.ExportKeyingMaterial(exporterLabel, nil, exporterBytes); err == nil {
			c.binding.Exporter = exporter
		}
	}
	c.who = clientOf(textAddress(hr.RemoteAddr), c.peer)
}
