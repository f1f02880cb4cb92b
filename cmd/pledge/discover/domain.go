package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// resolverConfig is where the system says whom to ask.
const resolverConfig = "/etc/resolv.conf"

// inDomain asks the domain's DNS servers.
func inDomain(ctx context.Context, o Options) ([]string, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return registrars(ctx, o.Domain, o.ask)
}

// An asker asks one question of DNS. What it returns is not believed.
type asker func(ctx context.Context, name string, kind uint16) (*dns.Msg, error)

// registrars asks for registrars by DNS-SD (RFC 6763): the instances of the
// service, and host and port of each, by priority and weight (RFC 2782).
func registrars(ctx context.Context, domain string, ask asker) ([]string, error) {
	reply, err := ask(ctx, registrarService+"."+dns.Fqdn(domain), dns.TypePTR)
	if err != nil {
		return nil, err
	}
	var servers []*dns.SRV
	instances := 0
	for _, rr := range reply.Answer {
		if ptr, ok := rr.(*dns.PTR); ok && instances < MaxFound {
			instances++
			servers = append(servers, instance(ctx, ptr.Ptr, ask)...)
		}
	}
	var found []string
	for _, s := range ordered(servers) {
		if host := strings.TrimSuffix(s.Target, "."); host != "" {
			found = collect(found, address(host, int(s.Port)))
		}
	}
	return found, nil
}

// complete takes what is not set from the resolver configuration.
func (o *Options) complete() error {
	if o.Domain != "" && o.Servers != nil {
		return nil
	}
	config, err := dns.ClientConfigFromFile(resolverConfig)
	if err != nil {
		return fmt.Errorf("unicast discovery: %w", err)
	}
	if o.Domain == "" && len(config.Search) > 0 {
		o.Domain = config.Search[0]
	}
	if o.Domain == "" || o.Domain == "." {
		return errors.New("unicast discovery: the network has not told the domain to search in")
	}
	if o.Servers == nil {
		for _, server := range config.Servers {
			o.Servers = append(o.Servers, net.JoinHostPort(server, config.Port))
		}
	}
	if len(o.Servers) == 0 {
		return errors.New("unicast discovery: no DNS server is known")
	}
	return nil
}

// instance returns the servers of one instance, if it speaks what this device
// speaks. A failure to ask leaves it out.
func instance(ctx context.Context, name string, ask asker) []*dns.SRV {
	reply, err := ask(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil
	}
	for _, rr := range reply.Answer {
		if txt, ok := rr.(*dns.TXT); ok && !speaksEST(txt.Txt) {
			return nil
		}
	}
	if reply, err = ask(ctx, name, dns.TypeSRV); err != nil {
		return nil
	}
	var servers []*dns.SRV
	for _, rr := range reply.Answer {
		if srv, ok := rr.(*dns.SRV); ok && len(servers) < MaxFound {
			servers = append(servers, srv)
		}
	}
	return servers
}

// ask asks one server after the other, and again over TCP where an answer does
// not fit a datagram.
func (o *Options) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	question := new(dns.Msg)
	question.SetQuestion(name, kind)
	err := errors.New("no DNS server is known")
	for _, server := range o.Servers {
		var reply *dns.Msg
		for _, network := range []string{"udp", "tcp"} {
			client := &dns.Client{Net: network, Timeout: o.Timeout}
			if reply, _, err = client.ExchangeContext(ctx, question, server); err != nil || !reply.Truncated {
				break
			}
		}
		switch {
		case err != nil:
			continue
		case reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError:
			return reply, nil
		}
		err = fmt.Errorf("%s answers %s", server, dns.RcodeToString[reply.Rcode])
	}
	return nil, fmt.Errorf("unicast discovery: %s: %w", name, err)
}

// ordered sorts by priority, and within one by chance, in proportion to weight
// (RFC 2782).
func ordered(servers []*dns.SRV) []*dns.SRV {
	chance := map[*dns.SRV]float64{}
	for _, s := range servers {
		chance[s] = rand.ExpFloat64() / (float64(s.Weight) + 0.001)
	}
	slices.SortStableFunc(servers, func(a, b *dns.SRV) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(chance[a], chance[b]))
	})
	return servers
}
