package discover

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/mdns"
)

// onLink asks for join proxies by multicast DNS (RFC 6762), over IPv4 and IPv6
// apart: a link may have one of them only.
func onLink(ctx context.Context, o Options) ([]string, error) {
	var wg sync.WaitGroup
	var entries [2][]*mdns.ServiceEntry
	var errs [2]error
	for i, v6 := range []bool{true, false} {
		wg.Go(func() { entries[i], errs[i] = query(ctx, o, v6) })
	}
	wg.Wait()
	found := proxies(slices.Concat(entries[:]...))
	if errs[0] != nil && errs[1] != nil {
		return found, errors.Join(errs[:]...)
	}
	return found, nil
}

// proxies are the URLs of those that answered for the service, by name.
func proxies(all []*mdns.ServiceEntry) []string {
	slices.SortStableFunc(all, func(a, b *mdns.ServiceEntry) int { return cmp.Compare(a.Name, b.Name) })
	var found []string
	for _, e := range all {
		if suffix := "." + proxyService + ".local."; strings.HasSuffix(strings.ToLower(e.Name), suffix) && speaksEST(e.InfoFields) {
			found = collect(found, addresses(e)...)
		}
	}
	return found
}

// query returns what answered in time. The library adds to an entry after it has
// handed it out, so none is looked at before it is done.
func query(ctx context.Context, o Options, v6 bool) ([]*mdns.ServiceEntry, error) {
	answers := make(chan *mdns.ServiceEntry, 4*MaxFound)
	done := make(chan error, 1)
	go func() {
		done <- mdns.QueryContext(ctx, &mdns.QueryParam{Service: proxyService, Domain: "local", Timeout: o.Timeout, Interface: o.Interface,
			Entries: answers, DisableIPv4: v6, DisableIPv6: !v6, Logger: log.New(io.Discard, "", 0)})
	}()
	select {
	case err := <-done:
		close(answers)
		var entries []*mdns.ServiceEntry
		for e := range answers {
			entries = append(entries, e)
		}
		return entries, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// addresses are the URLs of an entry: by address, since the names of a link mean
// nothing to the resolver; a link-local one first (RFC 8995 §4.1).
func addresses(e *mdns.ServiceEntry) []string {
	if e.Port <= 0 || e.Port > 65535 {
		return nil
	}
	var urls []string
	if e.AddrV6IPAddr != nil && e.AddrV6IPAddr.IP.To4() == nil && len(e.AddrV6IPAddr.IP) == net.IPv6len {
		urls = append(urls, address(e.AddrV6IPAddr.String(), e.Port))
	}
	if v4 := e.AddrV4.To4(); v4 != nil {
		urls = append(urls, address(v4.String(), e.Port))
	}
	return urls
}

func address(host string, port int) string {
	u := url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(port))}
	return u.String()
}
