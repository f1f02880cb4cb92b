package web

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
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

// connection returns what a request's role is told of its connection.
func connection(state *tls.ConnectionState) (peer []*x509.Certificate, unique, exporter []byte) {
	if state == nil {
		return nil, nil, nil
	}
	if state.Version < tls.VersionTLS13 {
		return state.PeerCertificates, state.TLSUnique, nil
	}
	exporter, err := state.ExportKeyingMaterial(exporterLabel, nil, exporterBytes)
	if err != nil {
		exporter = nil
	}
	return state.PeerCertificates, nil, exporter
}
