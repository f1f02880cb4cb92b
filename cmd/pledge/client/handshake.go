package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/engine/pledge"
)

// handshake connects to the call's registrar and completes a TLS handshake with
// whoever answers.
func (t *Transport) handshake(ctx context.Context, call *pledge.Call) (*tls.Conn, error) {
	u, err := url.Parse(call.Registrar)
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout+pledge.NoProgress)
	defer cancel()
	raw, err := t.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	paced := &pacedConn{Conn: raw}
	paced.handshaking.Store(true)
	conn := tls.Client(paced, tlsConfig(call))
	shake, done := context.WithTimeout(ctx, handshakeTimeout)
	defer done()
	if err := conn.HandshakeContext(shake); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS handshake with %s: %w", u.Host, err), raw.Close())
	}
	paced.handshaking.Store(false)
	if err := raw.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return conn, nil
}

// tlsConfig is that of a provisional connection (RFC 8995 §5.1): no chain and no
// name of the server is checked here, only that it holds its key, which crypto/tls
// does in any case. Who it is, the pledge decides in Call.Prepare, before anything
// is sent. The client's certificate is sent whatever authorities the server names:
// it cannot know the device's maker. Sessions are not resumed, so certificates are
// seen on each connection.
func tlsConfig(call *pledge.Call) *tls.Config {
	own := &tls.Certificate{PrivateKey: call.Identity.Key}
	for _, c := range call.Identity.Chain {
		own.Certificate = append(own.Certificate, c.Raw)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true,
		ServerName:         call.ServerName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own, nil
		},
	}
}

// A pacedConn is a TCP connection whose peer must take what is written, and, while
// the handshake lasts, send something, within pledge.NoProgress each time.
type pacedConn struct {
	net.Conn
	handshaking atomic.Bool
}

func (c *pacedConn) Read(p []byte) (int, error) {
	if c.handshaking.Load() {
		if err := c.SetReadDeadline(time.Now().Add(pledge.NoProgress)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

func (c *pacedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(pledge.NoProgress)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
