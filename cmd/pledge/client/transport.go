package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/pledge"
)

// Timers of a Transport that package pledge does not name, and its limits.
const (
	handshakeTimeout = 10 * time.Second
	bodyTimeout      = 30 * time.Second
	idleTimeout      = 120 * time.Second
	maxHeader        = 64 << 10 // octets of an answer's header
	maxConnections   = 16       // kept open; beyond, the one used longest ago is closed
)

// Options are the settings of a Transport. The zero value is the recommended
// setting.
type Options struct {
	// Dial makes TCP connections; nil for a net.Dialer that waits for
	// pledge.NoProgress. A device with several links, or in a network namespace
	// of its own, sets it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Transport carries a pledge's calls over HTTP/1.1 and TLS 1.2 or 1.3. It
// implements pledge.Network and pledge.Releaser. It is safe for concurrent use;
// calls over the same connection wait for one another.
type Transport struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu          sync.Mutex
	connections map[string]*connection // by name
}

// NewTransport returns a transport. Nothing is connected yet.
func NewTransport(o Options) *Transport {
	t := &Transport{dial: o.Dial, connections: map[string]*connection{}}
	if t.dial == nil {
		t.dial = (&net.Dialer{Timeout: pledge.NoProgress}).DialContext
	}
	return t
}

// Exchange makes one call; see pledge.Network. A connection that turns out to
// have been closed while it was idle is set up again, once.
func (t *Transport) Exchange(ctx context.Context, call *pledge.Call) (*pledge.Reply, error) {
	for {
		c, reused, err := t.connection(ctx, call)
		if err != nil {
			return nil, err
		}
		reply, err := c.exchange(ctx, call)
		if err == nil {
			return reply, nil
		}
		t.drop(call.Connection, c)
		if !reused || ctx.Err() != nil || !closedWhileIdle(err) {
			return nil, err
		}
	}
}

// Release closes a connection that is not needed any more.
func (t *Transport) Release(name string) { t.drop(name, nil) }

// Close closes all connections.
func (t *Transport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, c := range t.connections {
		delete(t.connections, name)
		c.close()
	}
	return nil
}

// connection returns the one of the call's name, or sets it up.
func (t *Transport) connection(ctx context.Context, call *pledge.Call) (c *connection, reused bool, err error) {
	t.mu.Lock()
	c = t.connections[call.Connection]
	t.mu.Unlock()
	if c != nil {
		return c, true, nil
	}
	if c, err = t.connect(ctx, call); err != nil {
		return nil, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if other := t.connections[call.Connection]; other != nil {
		c.close()
		return other, true, nil
	}
	if len(t.connections) >= maxConnections {
		t.dropOldest()
	}
	t.connections[call.Connection] = c
	return c, false, nil
}

// dropOldest closes the connection used longest ago. The caller holds mu.
func (t *Transport) dropOldest() {
	oldest := ""
	for name, c := range t.connections {
		if oldest == "" || c.lastUse().Before(t.connections[oldest].lastUse()) {
			oldest = name
		}
	}
	t.connections[oldest].close()
	delete(t.connections, oldest)
}

// drop closes the connection of a name; if it is given, only that very one.
func (t *Transport) drop(name string, c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.connections[name]; known != nil && (c == nil || known == c) {
		delete(t.connections, name)
		known.close()
	} else if c != nil {
		c.close()
	}
}

// A connection is one TLS connection and what speaks HTTP over it.
type connection struct {
	http  *http.Transport
	tls   *tls.Conn
	state tls.ConnectionState

	mu   sync.Mutex // one exchange at a time
	meta sync.Mutex // guards used
	used time.Time
}

// errSpent is what http.Transport gets when it wants to dial again: which server
// answers then is not its to accept.
var errSpent = errors.New("the connection is closed")

// connect dials, shakes hands and puts HTTP on top.
func (t *Transport) connect(ctx context.Context, call *pledge.Call) (*connection, error) {
	conn, err := t.handshake(ctx, call)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	take := func(context.Context, string, string) (taken net.Conn, err error) {
		err = errSpent
		once.Do(func() { taken, err = conn, nil })
		return taken, err
	}
	return &connection{tls: conn, state: conn.ConnectionState(), used: time.Now(), http: &http.Transport{
		DialTLSContext:         take,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 alone
		MaxConnsPerHost:        1,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  pledge.AnswerTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}}, nil
}

func (c *connection) lastUse() time.Time {
	c.meta.Lock()
	defer c.meta.Unlock()
	return c.used
}

func (c *connection) close() {
	c.http.CloseIdleConnections()
	_ = c.tls.NetConn().Close() // the close_notify of tls.Conn could block on a peer that does not read
}

// exchange makes one call over the connection.
func (c *connection) exchange(ctx context.Context, call *pledge.Call) (*pledge.Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.meta.Lock()
	c.used = time.Now()
	c.meta.Unlock()
	body, err := call.Prepare(c.state.PeerCertificates)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pledge.AnswerTimeout+bodyTimeout)
	defer cancel()
	request, err := newRequest(ctx, call, body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	reply := &pledge.Reply{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"),
		Location: response.Header.Get("Location"), RetryAfter: response.Header.Get("Retry-After"), Binding: c.binding()}
	if reply.Body, err = readBody(response.Body, call.MaxBody, cancel); err != nil {
		return nil, err
	}
	return reply, nil
}

// newRequest makes the HTTP request: the fields the protocol needs, and none
// that tells more of the device.
func newRequest(ctx context.Context, call *pledge.Call, body []byte) (*http.Request, error) {
	target, err := url.Parse(call.Registrar + call.Path)
	if err != nil {
		return nil, err
	}
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, call.Method, target.String(), content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "")
	if call.ContentType != "" {
		request.Header.Set("Content-Type", call.ContentType)
	}
	if call.Accept != "" {
		request.Header.Set("Accept", call.Accept)
	}
	return request, nil
}

// readBody reads at most limit octets, and gives up when none come for
// pledge.NoProgress.
func readBody(body io.Reader, limit int, cancel func()) ([]byte, error) {
	stalled := time.AfterFunc(pledge.NoProgress, cancel)
	defer stalled.Stop()
	content, err := io.ReadAll(io.LimitReader(&watched{body, stalled}, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(content) > limit {
		return nil, decision.Refuse(decision.TooLarge, "the answer has more than %d octets", limit)
	}
	return content, nil
}

// watched is a reader whose every octet winds a timer up again.
type watched struct {
	io.Reader
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.timer.Reset(pledge.NoProgress)
	}
	return n, err
}

// binding names the TLS connection (RFC 5929 §3, RFC 9266).
func (c *connection) binding() exchange.Binding {
	b := exchange.Binding{Unique: c.state.TLSUnique}
	if exporter, err := c.state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32); err == nil {
		b.Exporter = exporter
	}
	return b
}

// closedWhileIdle reports whether an exchange failed because the connection was
// gone before it.
func closedWhileIdle(err error) bool {
	if errors.Is(err, errSpent) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return true
	}
	var network net.Error
	var op *net.OpError
	return errors.As(err, &op) && !(errors.As(err, &network) && network.Timeout())
}
