package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// An attempt is one request on its way to an answer. It is for one goroutine.
type attempt struct {
	s     *Server
	w     http.ResponseWriter
	hr    *http.Request
	rc    *http.ResponseController
	began time.Time
	r     exchange.Request
	who   client
	held  int64 // octets of the body that are counted in s.bodies
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	a := &attempt{s: s, w: w, hr: hr, rc: http.NewResponseController(w), began: s.cfg.Clock()}
	a.describe()
	// What the server itself writes before the answer, 100 Continue, must not
	// meet the deadline of an earlier request's answer.
	a.deadline(a.rc.SetWriteDeadline, s.limits.Body)
	if hr.ContentLength != 0 { // whoever reads the body: the role, or net/http that passes over it
		a.deadline(a.rc.SetReadDeadline, s.limits.Body)
	}
	defer func() { s.bodies.Add(-a.held) }()
	answer, err := a.decide()
	switch r := decision.Of(err); {
	case hr.Context().Err() != nil && !decision.Is(err, decision.Incomplete): // a body cut short ends the context too
		s.counters.clientsGone.Add(1)
		a.report(&s.journal.refusals, slog.LevelInfo, "the client did not wait", 0)
		panic(http.ErrAbortHandler) // or net/http would say 200
	case r != nil:
		a.refuse(r)
	default:
		a.answer(answer)
	}
}

// describe fills in what a role is told of the request, but the body.
func (a *attempt) describe() {
	header := a.hr.Header
	a.r = exchange.Request{ID: rand.Text()[:16], Now: a.began, Remote: a.hr.RemoteAddr,
		// A field that comes twice must not become one that comes once.
		ContentType: strings.Join(header.Values("Content-Type"), ", "), Accept: strings.Join(header.Values("Accept"), ", ")}
	c := connectionOf(a.hr)
	a.r.Peer, a.r.Binding, a.who = c.peer, c.binding, c.who
	a.w.Header().Set("X-Request-Id", a.r.ID)
}

type textAddress string

// Network is that of all connections here.
func (t textAddress) Network() string { return "tcp" }

// String is the address as net/http wrote it.
func (t textAddress) String() string { return string(t) }

// decide leads to the role's decision, through what is looked at before.
func (a *attempt) decide() (*exchange.Answer, error) {
	path := a.hr.URL.Path
	if a.hr.URL.RawPath != "" { // an escaped octet that would read otherwise
		path = a.hr.URL.RawPath
	}
	route, label, allow, err := a.s.routes.find(a.hr.Method, path)
	if err != nil {
		if allow != "" {
			a.w.Header().Set("Allow", allow)
		}
		return nil, err
	}
	a.r.Label = label
	if wait, ok := a.s.pace.admit(a.who, a.began); !ok {
		return nil, decision.Refuse(decision.RateLimited, "over %g requests a second of one client; wait, or raise the limit in the configuration", a.s.limits.Rate).After(wait)
	}
	if a.r.Body, err = a.body(route.MaxBody); err != nil {
		return nil, err
	}
	select {
	case a.s.work <- struct{}{}:
		defer func() { <-a.s.work }()
	default:
		return nil, decision.Refuse(decision.Overloaded, "%d requests are in work already", a.s.limits.Requests).After(2 * time.Second)
	}
	ctx, cancel := context.WithTimeout(a.hr.Context(), a.s.limits.Work)
	defer cancel()
	answer, err := a.call(ctx, route.Handle)
	if err != nil && ctx.Err() != nil && a.hr.Context().Err() == nil {
		return nil, decision.Refuse(decision.Overloaded, "no decision within %s: %w", a.s.limits.Work, err).After(defaultRetry)
	}
	return answer, err
}

// call calls the role; a panic of it is a fault of this side for this request
// alone.
func (a *attempt) call(ctx context.Context, handle Handler) (answer *exchange.Answer, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			answer, err = nil, decision.Refuse(decision.Internal, "panic: %v\n%s", cause, debug.Stack())
		}
	}()
	if answer, err = handle(ctx, &a.r); err == nil && answer == nil {
		err = errors.New("the role gave neither an answer nor an error")
	}
	return answer, err
}

// body reads the body, at most limit octets long.
func (a *attempt) body(limit int) ([]byte, error) {
	if a.hr.ContentLength > int64(limit) {
		return nil, a.tooLarge(limit)
	}
	if a.hr.Body == nil || a.hr.ContentLength == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	for {
		if err := a.reserve(&b); err != nil {
			return nil, err
		}
		n, err := a.hr.Body.Read(b.AvailableBuffer()[:b.Available()])
		b.Write(b.AvailableBuffer()[:n])
		if b.Len() > limit {
			return nil, a.tooLarge(limit)
		}
		if err == io.EOF {
			// A deadline that passes later would look like a client that left.
			if err := a.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
				return nil, fmt.Errorf("web: %w", err)
			}
			return b.Bytes(), nil
		}
		if err != nil {
			return nil, decision.Refuse(decision.Incomplete, "the body broke off after %d octets: %w", b.Len(), err).Closing()
		}
	}
}

// reserve makes room for more of the body, as far as all bodies together may go.
func (a *attempt) reserve(b *bytes.Buffer) error {
	if b.Available() > 0 {
		return nil
	}
	before := b.Cap()
	b.Grow(max(4<<10, b.Len()))
	grown := int64(b.Cap() - before)
	a.held += grown
	if a.s.bodies.Add(grown) > a.s.limits.BodyBytes {
		return decision.Refuse(decision.Overloaded, "bodies of requests take over %d MiB", a.s.limits.BodyBytes>>20).After(defaultRetry).Closing()
	}
	return nil
}

func (a *attempt) tooLarge(limit int) error {
	return decision.Refuse(decision.TooLarge, "the body is over %d octets", limit).Closing()
}

// deadline sets one of the connection's deadlines. Where there is no connection
// underneath there is nothing to set.
func (a *attempt) deadline(set func(time.Time) error, after time.Duration) {
	if err := set(time.Now().Add(after)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		a.s.journal.line(&a.s.journal.transport, a.began, slog.LevelDebug, "setting a deadline failed", slog.String("id", a.r.ID), slog.String("error", err.Error()))
	}
}

// answer sends what the role answers.
func (a *attempt) answer(answer *exchange.Answer) {
	a.s.counters.answered.Add(1)
	a.send(http.StatusOK, answer.ContentType, answer.Body)
	a.report(&a.s.journal.answers, slog.LevelInfo, "answered", http.StatusOK)
}

// refuse sends the public side of a refusal and logs the other.
func (a *attempt) refuse(r *decision.Refusal) {
	a.s.counters.refuse(r.Kind)
	status := Status(r.Kind)
	if after := retryAfter(r, status); after > 0 {
		a.w.Header().Set("Retry-After", strconv.FormatInt(after, 10))
	}
	if r.Close {
		a.w.Header().Set("Connection", "close")
	}
	a.send(status, "text/plain; charset=utf-8", []byte(r.Public+"\n"))
	sort, level := &a.s.journal.refusals, slog.LevelInfo
	switch {
	case r.Kind == decision.Internal:
		sort, level = &a.s.journal.faults, slog.LevelError
	case status != http.StatusAccepted:
		level = slog.LevelWarn
	}
	a.report(sort, level, "refused", status, slog.String("kind", string(r.Kind)), slog.String("operator", cutDetail(r)))
}

// cutDetail shortens what others sent; a stack of our own stays whole.
func cutDetail(r *decision.Refusal) string {
	if r.Kind == decision.Internal {
		return r.Operator
	}
	return cut(r.Operator)
}

// send writes a whole answer and leaves no deadline behind.
func (a *attempt) send(status int, contentType string, body []byte) {
	// net/http passes over a body that nobody read before it writes, within the
	// time that a body may take.
	a.deadline(a.rc.SetWriteDeadline, 2*a.s.limits.Body)
	header := a.w.Header()
	if len(body) > 0 && contentType != "" {
		header.Set("Content-Type", contentType)
	} else {
		header["Content-Type"] = nil // or net/http would guess one
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	a.w.WriteHeader(status)
	_, err := a.w.Write(body)
	if err = errors.Join(err, a.rc.Flush()); err != nil {
		a.s.journal.line(&a.s.journal.transport, a.began, slog.LevelDebug, "sending an answer failed", slog.String("id", a.r.ID), slog.String("error", cut(err.Error())))
		return
	}
	if a.rc.SetWriteDeadline(time.Time{}) != nil {
		return // no connection underneath
	}
}

// report writes the request's line.
func (a *attempt) report(sort *sorted, level slog.Level, message string, status int, more ...slog.Attr) {
	attrs := []slog.Attr{slog.String("id", a.r.ID), slog.String("remote", a.r.Remote), slog.String("method", cut(a.hr.Method)),
		slog.String("path", cut(a.hr.URL.Path)), slog.Int("status", status), slog.Duration("took", a.s.cfg.Clock().Sub(a.began))}
	if len(a.r.Peer) > 0 {
		attrs = append(attrs, slog.String("client", hex.EncodeToString(a.who[:8])))
	}
	a.s.journal.line(sort, a.began, level, message, append(attrs, more...)...)
}
