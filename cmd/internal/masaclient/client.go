package masaclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/outbound"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

const (
	connectTimeout = 10 * time.Second // for TCP, and for TLS again
	idleTimeout    = 90 * time.Second
	maxHeader      = 64 << 10
	// maxIdle is how many connections of one host are kept: when many devices come
	// at once, a handshake for each costs both sides as much as its calls.
	maxIdle = 64
	// maxTransports bounds how many different trusts have connections kept.
	maxTransports = 64
	// maxRetryAfter bounds what a MASA can ask for.
	maxRetryAfter = 24 * time.Hour
)

// Config is what a Client needs.
type Config struct {
	// Certificate returns the registrar's, which MASAs that ask for one get; nil
	// for none.
	Certificate func() (*tls.Certificate, error)
	// SystemRoots are what counts where a call names no anchors, nil for the
	// operating system's.
	SystemRoots *x509.CertPool
	// Clock tells the time, for Retry-After; nil for time.Now.
	Clock func() time.Time
}

// A Client implements registrar.Network.
type Client struct {
	cfg Config

	mu         sync.Mutex
	transports map[[sha256.Size]byte]*http.Transport // by trust
}

var _ registrar.Network = (*Client)(nil)

// New makes a client.
func New(cfg Config) *Client {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	return &Client{cfg: cfg, transports: map[[sha256.Size]byte]*http.Transport{}}
}

// Close closes idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
}

func (c *Client) forget() {
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
	clear(c.transports)
}

// Do makes one call. The error is a *registrar.NetworkError or the context's
// cause.
func (c *Client) Do(ctx context.Context, call *registrar.Call) (*registrar.Reply, error) {
	if u, err := url.Parse(call.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, &registrar.NetworkError{Address: true, Err: fmt.Errorf("%.200q is no https URL", call.URL)}
	}
	var connected atomic.Bool // the trace may be called after an answer
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	}), call.Method, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return nil, &registrar.NetworkError{Address: true, Err: err}
	}
	for name, value := range map[string]string{"Content-Type": call.ContentType, "Accept": call.Accept} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("User-Agent", "vouchmill-registrar")
	// The transport alone, not a client around it: no redirects, no cookies.
	resp, err := c.transport(call.Trust).RoundTrip(req)
	if err != nil {
		return nil, failure(ctx, connected.Load(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(call.MaxBody)+1))
	if err != nil {
		return nil, failure(ctx, true, err)
	}
	return &registrar.Reply{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type"), Location: resp.Header.Get("Location"),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), c.cfg.Clock()), Body: body}, nil
}

// failure says how far a call came that has no answer.
func failure(ctx context.Context, connected bool, err error) error {
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	var address *outbound.AddressError
	var timeout interface{ Timeout() bool }
	return &registrar.NetworkError{
		Connected: connected,
		Timeout:   ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout(),
		Address:   errors.As(err, &address),
		Err:       err,
	}
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3); what is neither, is 0.
func retryAfter(field string, now time.Time) time.Duration {
	field = strings.TrimSpace(field)
	if n, err := strconv.ParseUint(field, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(field); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// transport returns the one for a trust. Connections are not shared between
// trusts: one that was made for another was verified for another.
func (c *Client) transport(trust *registrar.MASATrust) *http.Transport {
	if trust == nil {
		trust = &registrar.MASATrust{}
	}
	key := digest(trust)
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.transports[key]; t != nil {
		return t
	}
	if len(c.transports) >= maxTransports {
		c.forget()
	}
	t := c.newTransport(trust)
	c.transports[key] = t
	return t
}

func digest(trust *registrar.MASATrust) [sha256.Size]byte {
	h := sha256.New()
	for _, a := range trust.Anchors {
		fmt.Fprintf(h, "a%d:", len(a.Raw))
		h.Write(a.Raw)
	}
	for _, host := range trust.Hosts {
		fmt.Fprintf(h, "h%d:%s", len(host), host)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (c *Client) newTransport(trust *registrar.MASATrust) *http.Transport {
	roots := c.cfg.SystemRoots
	if len(trust.Anchors) > 0 {
		roots = x509.NewCertPool()
		for _, a := range trust.Anchors {
			roots.AddCert(a)
		}
	}
	dial := &outbound.Policy{Any: len(trust.Anchors) > 0, Hosts: trust.Hosts, Timeout: connectTimeout,
		Remedy: "name the host in masa-hosts, or configure the manufacturer's masa-trust, if it is right"}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}}
	if c.cfg.Certificate != nil {
		// Whatever authorities the MASA names: it is the registrar's only one.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cfg.Certificate() }
	}
	return &http.Transport{
		DialContext:            dial.DialContext,
		TLSClientConfig:        config, // the transport adds the URL's host as the name to verify
		TLSHandshakeTimeout:    connectTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}
