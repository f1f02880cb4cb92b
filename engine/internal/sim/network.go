package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

// A request is one over the network, after TLS.
type request struct {
	peer                []*x509.Certificate
	path                string
	contentType, accept string
	body                []byte
	binding             exchange.Binding
}

// value is the request as a role sees it.
func (w *World) value(c *request) *exchange.Request {
	return &exchange.Request{Now: w.now, Peer: c.peer, Binding: c.binding, ContentType: c.contentType, Accept: c.accept, Body: c.body, Remote: "sim"}
}

// A reply is what comes back: a status, and one that says that the server died
// over the request.
type reply struct {
	status      int
	contentType string
	retryAfter  time.Duration
	body        []byte
	died        bool
}

// replied turns a role's outcome into a reply, with the statuses that make a
// difference to who asked.
func (w *World) replied(answer *exchange.Answer, err error) reply {
	if err == nil {
		return reply{status: 200, contentType: answer.ContentType, body: answer.Body}
	}
	r := decision.Of(err)
	w.count.Refusals++
	status := 403
	switch r.Kind {
	case decision.Pending:
		w.count.Refusals--
		status = 202
	case decision.RateLimited:
		status = 429
	case decision.UnknownDevice, decision.DeviceNotListed, decision.DeviceRefused, decision.UnknownPath, decision.NeverOwner:
		status = 404
	case decision.Internal, decision.StorageFull, decision.Overloaded, decision.MASAUnreachable, decision.MASATimeout, decision.MASAUnavailable, decision.MASAFailed:
		status = 503
	}
	return reply{status: status, contentType: "text/plain; charset=utf-8", retryAfter: r.RetryAfter, body: []byte(r.Public)}
}

// deliver takes a request to a server and its reply back, with everything that
// can happen on the way.
func (w *World) deliver(s server, c *request) (reply, error) {
	w.pass()
	if w.trouble() {
		w.count.Lost++
		return reply{}, errLost
	}
	answer := s.answer(c)
	w.pass()
	switch {
	case answer.died:
		return reply{}, errCrash
	case w.trouble():
		w.count.Lost++
		return reply{}, errLost
	case w.trouble():
		answer.body = w.spoil(answer.body)
	}
	return answer, nil
}

// spoil returns octets that are not quite those. Where in a message a flipped bit
// matters depends on keys and signatures, so only a wild world flips any.
func (w *World) spoil(body []byte) []byte {
	body = bytes.Clone(body)
	switch kind := w.rand.IntN(4); {
	case len(body) == 0 || kind == 0:
		return append(body, "spoilt"...)
	case kind == 1:
		return body[:len(body)/2]
	case kind == 2 || !w.opts.Wild:
		body[0] ^= 1
		return body
	}
	body[w.rand.IntN(len(body))] ^= 1 << w.rand.IntN(8)
	return body
}

// Exchange is the pledges' network.
func (w *World) Exchange(_ context.Context, c *pledge.Call) (*pledge.Reply, error) {
	s := w.origins[c.Registrar]
	if s == nil {
		return nil, errors.New("no route to host")
	}
	if w.trouble() {
		w.count.Lost++
		return nil, errLost
	}
	body, err := c.Prepare(s.peer())
	if err != nil {
		return nil, err
	}
	connection := sha256.Sum256([]byte(c.Connection))
	binding := exchange.Binding{Exporter: connection[:]}
	answer, err := w.deliver(s, &request{c.Identity.Chain, c.Path, c.ContentType, c.Accept, body, binding})
	if err != nil {
		return nil, err
	}
	if len(answer.body) > c.MaxBody {
		return nil, decision.Refuse(decision.TooLarge, "%d octets", len(answer.body))
	}
	r := &pledge.Reply{Status: answer.status, ContentType: answer.contentType, Body: answer.body, Binding: binding}
	if answer.retryAfter > 0 {
		r.RetryAfter = strconv.Itoa(int(answer.retryAfter / time.Second))
	}
	return r, nil
}

// uplink is a registrar's network to the MASA.
type uplink struct {
	site  *site
	world *World
}

// Do makes one call.
func (u uplink) Do(_ context.Context, c *registrar.Call) (*registrar.Reply, error) {
	w := u.world
	_, path, _ := strings.Cut(strings.TrimPrefix(c.URL, "https://"), "/")
	answer, err := w.deliver(w.masa, &request{u.site.chain, "/" + path, c.ContentType, c.Accept, c.Body, exchange.Binding{}})
	if err != nil {
		return nil, &registrar.NetworkError{Connected: true, Err: err}
	}
	return &registrar.Reply{Status: answer.status, ContentType: answer.contentType, RetryAfter: answer.retryAfter, Body: answer.body}, nil
}
