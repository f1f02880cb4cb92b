package pledge

import (
	"context"
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// Names of operations of BRSKI: the last segment of the path (RFC 8995 §8.3.1), and
// the name of the check in the trail.
const (
	opRequestVoucher = "requestvoucher"
	opVoucherStatus  = "voucher_status"
	opEnrollStatus   = "enrollstatus"
)

// operation is one request of the protocol.
type operation struct {
	name        string // of its check in the trail
	method      string
	path        string
	contentType string
	accept      string
	max         int // octets of the answer
	// body is called as Call.Prepare is; nil for none.
	body func(peer []*x509.Certificate) ([]byte, error)
}

// session is a TLS connection to one registrar, set up again where it broke,
// and the TLS server met there first.
type session struct {
	network   Network
	origin    string
	name      string // of the connection
	identity  Identity
	peers     []*x509.Certificate // nil before the first handshake
	authorise func(peer []*x509.Certificate) error
	redirects int
	verified  bool // authorise tells whether the server is the one in the URL
}

// maxRedirects bounds the redirects within one origin that a session follows.
const maxRedirects = 3

// send makes one request. Redirects within the origin are followed; the reply
// of one to another origin is returned, with its Location made absolute, to who
// can judge it. Whatever came back is within the limits and has no meaning yet.
func (s *session) send(ctx context.Context, op *operation) (*Reply, error) {
	path := op.path
	for {
		reply, err := s.network.Exchange(ctx, &Call{Registrar: s.origin, Connection: s.name, Identity: s.identity,
			ServerName: s.serverName(), Method: op.method, Path: path, ContentType: op.contentType, Accept: op.accept, MaxBody: op.max, Prepare: s.prepare(op)})
		if err != nil {
			return nil, err
		}
		if len(reply.Body) > op.max {
			return nil, decision.Refuse(decision.TooLarge, "the answer to %s has %d octets, the limit is %d", op.name, len(reply.Body), op.max)
		}
		if !isRedirect(reply.Status) {
			return reply, nil
		}
		target, err := redirectTarget(s.origin, path, reply.Location)
		if err != nil {
			return nil, err
		}
		reply.Location = target.String()
		if originOf(target) != s.origin {
			return reply, nil
		}
		if s.redirects++; s.redirects > maxRedirects {
			return nil, decision.Refuse(BadRedirect, "%s is redirected for the %dth time", op.name, s.redirects)
		}
		path = target.RequestURI()
	}
}

// serverName is the host to ask for by SNI, once names mean something. On the
// provisional connection none is sent: RFC 8995 §5.1 knows no name there.
func (s *session) serverName() string {
	u, err := url.Parse(s.origin)
	if err != nil || !s.verified {
		return ""
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ""
	}
	return u.Hostname()
}

// prepare holds the TLS server against the one met before, and makes the body.
func (s *session) prepare(op *operation) func([]*x509.Certificate) ([]byte, error) {
	return func(peer []*x509.Certificate) ([]byte, error) {
		if err := s.meet(peer); err != nil {
			return nil, err
		}
		if op.body == nil {
			return nil, nil
		}
		return op.body(s.peers)
	}
}

// meet records the first TLS server, and refuses any other under the same
// session (RFC 8995 §5.6.2: the voucher is checked against the connection the
// request went over).
func (s *session) meet(peer []*x509.Certificate) error {
	if len(peer) == 0 || peer[0] == nil {
		return decision.Refuse(decision.BadCertificate, "the TLS server presented no certificate")
	}
	if s.peers != nil {
		if !peer[0].Equal(s.peers[0]) {
			return decision.Refuse(PeerChanged, "the TLS server is now %q, it was %q: the connection broke and another server answers", peer[0].Subject, s.peers[0].Subject)
		}
		return nil
	}
	if len(peer) > maxPeers {
		return decision.Refuse(decision.TooLarge, "the TLS server presented %d certificates, the limit is %d", len(peer), maxPeers)
	}
	if s.authorise != nil {
		if err := s.authorise(peer); err != nil {
			return err
		}
	}
	s.peers = slices.Clone(peer)
	return nil
}

// release tells the network that the connection is not needed any more.
func (s *session) release() {
	if r, ok := s.network.(Releaser); ok {
		r.Release(s.name)
	}
}

func isRedirect(status int) bool {
	switch status {
	case 301, 302, 307, 308:
		return true
	}
	return false
}

// redirectTarget resolves a Location field. A redirect leads to https and
// nowhere else.
func redirectTarget(origin, path, location string) (*url.URL, error) {
	base, err := url.Parse(origin + path)
	if err != nil {
		return nil, decision.Refuse(BadRedirect, "%w", err)
	}
	if location == "" || len(location) > 2048 {
		return nil, decision.Refuse(BadRedirect, "a redirect with a Location of %d octets", len(location))
	}
	target, err := base.Parse(location)
	if err != nil {
		return nil, decision.Refuse(BadRedirect, "a redirect to %.200q: %w", location, err)
	}
	if _, err := Origin(originOf(target)); err != nil || target.User != nil {
		return nil, decision.Refuse(BadRedirect, "a redirect to %.200q, which is no https URL with a host and without a user", location)
	}
	target.Fragment = ""
	return target, nil
}

// originOf returns scheme, host and port in the form that [Origin] gives.
func originOf(u *url.URL) string {
	bare := url.URL{Scheme: strings.ToLower(u.Scheme), Host: strings.ToLower(strings.TrimSuffix(u.Host, ":443"))}
	return bare.String()
}

// Origin returns the canonical form of a registrar's URL, https://HOST:PORT with
// the port left out where it is 443: what Call.Registrar holds. A path of "/" is
// dropped; anything else beside host and port is refused.
func Origin(registrar string) (string, error) {
	u, err := url.Parse(registrar)
	if err != nil {
		return "", err
	}
	if !strings.EqualFold(u.Scheme, "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Path != "" && u.Path != "/" || len(u.Host) > 300 {
		return "", errors.New("a registrar is named https://HOST or https://HOST:PORT, and not " + strings.ToValidUTF8(registrar[:min(len(registrar), 200)], "?"))
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", errors.New("the port of a registrar is 1 to 65535, not " + quote(port))
		}
	}
	return originOf(u), nil
}

// expect checks status 200 and the media type of an answer.
func expect(name string, reply *Reply, mediaType string) error {
	switch {
	case isRedirect(reply.Status):
		return decision.Refuse(BadRedirect, "%s is redirected to another origin, %.200q", name, reply.Location)
	case reply.Status != 200:
		return decision.Refuse(RegistrarRefused, "the registrar answers %s with %d%s", name, reply.Status, saying(reply))
	case !artefact.IsMediaType(reply.ContentType, mediaType):
		return decision.Refuse(WrongAnswer, "the answer to %s is of type %.100q, want %s", name, reply.ContentType, mediaType)
	}
	return nil
}

// saying quotes the beginning of the text that comes with an error.
func saying(reply *Reply) string {
	if len(reply.Body) == 0 || !artefact.IsMediaType(reply.ContentType, "text/plain") {
		return ""
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(reply.Body[:min(len(reply.Body), 200)]), "?"))
	return ": " + quote(text)
}
