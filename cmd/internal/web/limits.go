package web

import (
	"crypto/sha256"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vouchmill/vouchmill/cmd/internal/inbound"
)

// Limits bound what strangers can make a server do. A zero field stands for the
// default given with it.
type Limits struct {
	Handshake time.Duration // of TLS, 10 s
	Header    time.Duration // from a request's first octet to the end of its header, 10 s
	Body      time.Duration // until a body is there, 30 s; and until an answer is taken
	Work      time.Duration // until a role has decided, 90 s
	Idle      time.Duration // between two requests of a connection, 120 s
	Drain     time.Duration // for requests in work when the server ends, 10 s

	HeaderBytes int // 16 KiB
	// BodyBytes is how many octets of bodies are in memory, 256 MiB.
	BodyBytes int64

	Connections          int // at a time, 4096
	ConnectionsPerClient int // at a time, 256; a client is a key, or an address without one
	Handshakes           int // at a time, 512
	HandshakesPerAddress int // at a time, 64; of IPv6 an address is its /64
	Requests             int // in work at a time, 1024

	// Rate is how many requests a second one client may make in the long run,
	// and Burst how many at once. No Rate is no limit.
	Rate  float64
	Burst int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *time.Duration
		def   time.Duration
	}{
		{&l.Handshake, 10 * time.Second}, {&l.Header, 10 * time.Second}, {&l.Body, 30 * time.Second},
		{&l.Work, 90 * time.Second}, {&l.Idle, 120 * time.Second}, {&l.Drain, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.def
		}
	}
	for _, n := range []struct {
		field *int
		def   int
	}{
		{&l.HeaderBytes, 16 << 10}, {&l.Connections, 4096}, {&l.ConnectionsPerClient, 256}, {&l.Handshakes, 512},
		{&l.HandshakesPerAddress, 64}, {&l.Requests, 1024}, {&l.Burst, 1},
	} {
		if *n.field <= 0 {
			*n.field = n.def
		}
	}
	if l.BodyBytes <= 0 {
		l.BodyBytes = 256 << 20
	}
	return l
}

// A client is who limits count: the SHA-256 of its key, since a whole site may
// sit behind one address, or the address of one without a certificate.
type client [sha256.Size]byte

func clientOf(remote net.Addr, peer []*x509.Certificate) client {
	if len(peer) > 0 {
		return sha256.Sum256(peer[0].RawSubjectPublicKeyInfo)
	}
	return sha256.Sum256([]byte(inbound.Source(remote).String()))
}

// maxClients is how many clients a pace remembers in each of its two halves.
const maxClients = 32 << 10

// A pace holds each client to a rate. It remembers the clients of late; one
// that it forgets has not been here for maxClients others.
type pace struct {
	limit rate.Limit
	burst int

	mu     sync.Mutex
	recent map[client]*rate.Limiter
	older  map[client]*rate.Limiter
}

// newPace returns nil, which lets everybody pass, for no rate.
func newPace(perSecond float64, burst int) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{limit: rate.Limit(perSecond), burst: burst, recent: map[client]*rate.Limiter{}}
}

// admit takes one request of c. When it is one too many, it returns after what
// time the next would pass.
func (p *pace) admit(c client, now time.Time) (wait time.Duration, ok bool) {
	if p == nil {
		return 0, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.recent[c]
	if l == nil {
		if l = p.older[c]; l == nil {
			l = rate.NewLimiter(p.limit, p.burst)
		}
		if len(p.recent) >= maxClients {
			p.older, p.recent = p.recent, map[client]*rate.Limiter{}
		}
		p.recent[c] = l
	}
	if l.AllowN(now, 1) {
		return 0, true
	}
	return time.Duration((1 - l.TokensAt(now)) / float64(p.limit) * float64(time.Second)), false
}
