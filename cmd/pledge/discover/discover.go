package discover

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/pledge"
)

// Services of RFC 8995 §8.5.
const (
	proxyService     = "_brski-proxy._tcp"
	registrarService = "_brski-registrar._tcp"
)

// MaxFound is how many registrars Find returns at most.
const MaxFound = 16

// Options say where to look. The zero value is the system's configuration.
type Options struct {
	// Interface is where multicast queries go; nil is the system's choice.
	Interface *net.Interface
	// Domain is where unicast service discovery looks; "" is the search domain
	// that the resolver configuration names.
	Domain string
	// Servers are DNS servers, as HOST:PORT; nil are those of the resolver
	// configuration.
	Servers []string
	// Timeout is how long each of the two searches may take; 0 is three seconds.
	Timeout time.Duration
}

// Find looks on the link, and in the domain if nobody answers there. It returns
// URLs that pledge.Origin takes, best first. Finding nothing is no error, unless
// neither search could be made at all.
func Find(ctx context.Context, o Options) ([]string, error) {
	if o.Timeout <= 0 {
		o.Timeout = 3 * time.Second
	}
	found, linkErr := onLink(ctx, o)
	if len(found) > 0 {
		return found, nil
	}
	found, domainErr := inDomain(ctx, o)
	if len(found) > 0 {
		return found, nil
	}
	if linkErr != nil && domainErr != nil {
		return nil, errors.Join(linkErr, domainErr)
	}
	return nil, ctx.Err()
}

// collect appends URLs that are those of registrars and not there yet.
func collect(found []string, urls ...string) []string {
	for _, url := range urls {
		origin, err := pledge.Origin(url)
		if err == nil && len(found) < MaxFound && !slices.Contains(found, origin) {
			found = append(found, origin)
		}
	}
	return found
}

// speaksEST reports whether TXT strings announce the variation this device
// speaks, enrolment by EST and vouchers in CMS or JWS. Nothing announced means
// that one (draft-ietf-anima-brski-discovery).
func speaksEST(txt []string) bool {
	others := false
	for _, key := range txt {
		switch key = strings.ToLower(key); {
		case key == "est-tls":
			return true
		case key == "cmp" || key == "prm-jose":
			others = true
		}
	}
	return !others
}
