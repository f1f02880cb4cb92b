package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxJSON bounds a request that is JSON, in octets.
	maxJSON = 1 << 20
	// DefaultPage and MaxPage are how many items a listing has.
	DefaultPage = 100
	MaxPage     = 1000
	// maxSocketPath is what all systems take as the path of a socket.
	maxSocketPath = 103
	// maxRemote is how many connections from other machines there are at a time:
	// whose they are shows only when their handshake is over.
	maxRemote   = 64
	drain       = 10 * time.Second
	idleTimeout = 2 * time.Minute
)

// Handle makes a handler of a function whose result is answered as JSON. An
// error that is no [*Error] is answered with status 500.
func Handle(f func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, err := f(r)
		if err != nil {
			e := asError(err)
			writeJSON(w, e.Status, e)
			return
		}
		writeJSON(w, http.StatusOK, result)
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	text = append(text, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // who does not read it does not miss it
}

// Decode reads a request's JSON into v. Unknown members, and anything behind it,
// are refused.
func Decode(r *http.Request, v any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, maxJSON))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Errorf(http.StatusBadRequest, "the request is not the JSON that belongs here: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Errorf(http.StatusBadRequest, "the request goes on behind its JSON")
	}
	return nil
}

// A Page says which part of a listing is asked for.
type Page struct {
	After string // the last name of the page before, "" for the first page
	Limit int
}

// PageOf reads ?after= and ?limit=.
func PageOf(r *http.Request) (Page, error) {
	q := r.URL.Query()
	p := Page{After: q.Get("after"), Limit: DefaultPage}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxPage {
			return p, Errorf(http.StatusBadRequest, "limit=%.20q is not a number from 1 to %d", text, MaxPage)
		}
		p.Limit = n
	}
	return p, nil
}

// A Listing is one page. Next is what after= takes for the page behind it, ""
// when this is the last.
type Listing[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// NewListing makes a page of items that were asked for one more than the page
// has room: that one tells whether there is another page. name is what after=
// takes for an item.
func NewListing[T any](items []T, p Page, name func(T) string) Listing[T] {
	l := Listing[T]{Items: items}
	if len(items) > p.Limit {
		l.Items = items[:p.Limit]
		l.Next = name(l.Items[p.Limit-1])
	}
	if l.Items == nil {
		l.Items = []T{}
	}
	return l
}

// Names of the last line of a stream.
const (
	eventResult = "result"
	eventError  = "error"
)

// A Stream is the lines that go back while an upload comes in. It is safe for
// concurrent use, until the function it was given to returns.
type Stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController

	mu    sync.Mutex
	begun bool
}

// Send writes one line, {event: data}, and has it sent.
func (s *Stream) Send(event string, data any) error {
	text, err := json.Marshal(map[string]any{event: data})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	}
	if _, err := s.w.Write(append(text, '\n')); err != nil {
		return err
	}
	return s.rc.Flush()
}

// A streamedError is an Error behind an answer's status.
type streamedError struct {
	*Error
	Code int `json:"status"`
}

// Streaming makes a handler of a function that reads the request's body and
// tells on the way how far it is. Its result, or error, is the last line.
func Streaming(f func(r *http.Request, s *Stream) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &Stream{w: w, rc: http.NewResponseController(w)}
		if err := s.rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			writeJSON(w, http.StatusInternalServerError, asError(err))
			return
		}
		result, err := f(r, s)
		switch {
		case err == nil:
			err = s.Send(eventResult, result)
		case s.begun:
			err = s.Send(eventError, streamedError{asError(err), asError(err).Status})
		default:
			writeJSON(w, asError(err).Status, asError(err))
			err = s.rc.Flush()
		}
		if err == nil {
			// A client that still sends would lose the answer, were the connection
			// closed on it now; it stops when it has read the last line.
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
}

// Listen makes the socket of a server. The caller holds the lock of the role's
// store, so that a socket that is there already is one left behind, which is
// replaced, unless somebody listens on it after all. It appears with mode 0600
// and is removed when the listener is closed.
func Listen(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("admin socket %s: another process listens there; stop it first", path)
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("admin socket %s: there is a file of that name which is no socket; remove it or configure another admin-socket", path)
	}
	// Made in a directory that nobody else can look into and then renamed, it
	// never has another mode than 0600.
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	defer os.RemoveAll(private)
	first := filepath.Join(private, "s")
	if len(first) > maxSocketPath || len(path) > maxSocketPath {
		return nil, fmt.Errorf("admin socket %s: the path is too long for a socket; configure a shorter admin-socket", path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: first, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(first, 0o600), os.Rename(first, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), l.Close())
	}
	return &socket{UnixListener: l, path: path, made: made}, nil
}

// A socket is a listener that removes its file.
type socket struct {
	*net.UnixListener
	path string
	made fs.FileInfo
}

// Close removes the file too, unless it is another's by now.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.made) {
		err = errors.Join(err, os.Remove(s.path))
	}
	return err
}

// ListenTLS listens for other machines: TLS 1.3, and every client needs a
// certificate that leads to one of the anchors and is good for TLS clients. Of
// more than 64 connections at a time the rest are closed.
func ListenTLS(address string, certificate func() (*tls.Certificate, error), anchors []*x509.Certificate) (net.Listener, error) {
	if len(anchors) == 0 {
		return nil, errors.New("admin: no CA for clients; configure admin-client-ca")
	}
	pool := x509.NewCertPool()
	for _, a := range anchors {
		pool.AddCert(a)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return tls.NewListener(&bounded{Listener: l}, &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"http/1.1"},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              pool,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate() },
	}), nil
}

// bounded is a listener that closes what comes beyond maxRemote.
type bounded struct {
	net.Listener
	open atomic.Int64
}

// Accept waits for a connection within the bound.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= maxRemote {
			return &boundedConn{Conn: c, leave: sync.OnceFunc(func() { b.open.Add(-1) })}, nil
		}
		b.open.Add(-1)
		c.Close()
	}
}

type boundedConn struct {
	net.Conn
	leave func()
}

// Close makes room for another.
func (c *boundedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// Serve serves the API on the listeners until ctx ends, which the requests under
// way are told too. It closes the listeners. A page that an operator's browser
// shows changes nothing here, although the browser has the operator's certificate.
func Serve(ctx context.Context, h http.Handler, listeners ...net.Listener) error {
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(h), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- server.Serve(l) }()
	}
	var err error
	running := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-ended:
		running--
	}
	limit, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if stopErr := server.Shutdown(limit); stopErr != nil {
		err = errors.Join(err, stopErr, server.Close())
	}
	for range running {
		if last := <-ended; !errors.Is(last, http.ErrServerClosed) {
			err = errors.Join(err, last)
		}
	}
	return err
}
