package announce

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"
)

// A Type is what is announced (RFC 8995 §8.6).
type Type string

// The types.
const (
	Registrar Type = "_brski-registrar._tcp" // for join proxies
	Proxy     Type = "_brski-proxy._tcp"     // for pledges
)

// Variation is the TXT key of the way to join that RFC 8995 describes, with
// enrolment by EST (draft-ietf-anima-brski-discovery).
const Variation = "est-tls"

// domain is that of multicast DNS (RFC 6762 §3).
const domain = "local."

// addressesFor is how long the addresses of an interface are taken for current.
const addressesFor = 5 * time.Second

// maxAnswers is how many questions are answered within a second, each by some
// twenty records: a single packet can hold ten thousand questions, and comes from
// anybody on the link (RFC 6762 §6 has a record sent once a second).
const maxAnswers = 500

// A Service is one port that is announced.
type Service struct {
	Type Type
	Port int
}

// Config says what is announced, and where.
type Config struct {
	// Services are what is announced. Required.
	Services []Service
	// Instance names this registrar or proxy among others on the link: 1 to 63
	// letters, digits, hyphens and underscores. Required.
	Instance string
	// Interface is the network interface to announce on. Default: the one that
	// the system chooses for multicast, with all addresses of the machine but
	// those of loopback.
	Interface string
	// Retry is how long Run waits where announcing is not possible. Default: 30 s.
	Retry time.Duration
	// Log gets what is wrong with questions, at level debug, and why Run cannot
	// announce. Default: none.
	Log *slog.Logger
}

func (c *Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// An Announcement answers questions until it is closed.
type Announcement struct {
	server *mdns.Server
}

// Start begins to answer questions.
func Start(cfg Config) (*Announcement, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	z := &zone{services: slices.Clone(cfg.Services), instance: cfg.Instance, addresses: machineAddresses}
	var iface *net.Interface
	if cfg.Interface != "" {
		var err error
		if iface, err = net.InterfaceByName(cfg.Interface); err != nil {
			return nil, fmt.Errorf("announce: the network interface %q: %w; this machine has %s", cfg.Interface, err, interfaceNames())
		}
		z.addresses = func() ([]net.IP, error) { return interfaceAddresses(iface) }
	}
	server, err := mdns.NewServer(&mdns.Config{Zone: z, Iface: iface, Logger: slog.NewLogLogger(cfg.log().Handler(), slog.LevelDebug)})
	if err != nil {
		return nil, fmt.Errorf("announce: multicast DNS%s: %w", on(cfg.Interface), err)
	}
	return &Announcement{server}, nil
}

// Run announces until ctx ends. A network that is not there yet, as when a machine
// starts, is logged and tried again every [Config.Retry]. The error is about
// settings that can never be announced.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 30 * time.Second
	}
	for {
		a, err := Start(cfg)
		if err == nil {
			<-ctx.Done()
			return a.Close()
		}
		cfg.log().Error("not announced; trying again", "error", err, "after", cfg.Retry)
		select {
		case <-time.After(cfg.Retry):
		case <-ctx.Done():
			return nil
		}
	}
}

// Close ends answering.
func (a *Announcement) Close() error { return a.server.Shutdown() }

func (c *Config) check() error {
	if len(c.Services) == 0 {
		return errors.New("announce: there is no service to announce")
	}
	for _, s := range c.Services {
		if s.Type != Registrar && s.Type != Proxy {
			return fmt.Errorf("announce: the type %q is not known", s.Type)
		}
		if s.Port < 1 || s.Port > 65535 {
			return fmt.Errorf("announce: the port %d is not from 1 to 65535", s.Port)
		}
	}
	return CheckInstance(c.Instance)
}

// CheckInstance checks the name of an instance; see Config.
func CheckInstance(name string) error {
	if len(name) < 1 || len(name) > 63 || strings.ContainsFunc(name, special) {
		return fmt.Errorf("announce: the name %.80q is not 1 to 63 letters, digits, hyphens and underscores", name)
	}
	return nil
}

func special(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// InstanceOf makes the name of an instance out of any text, such as a host name.
func InstanceOf(text string) string {
	name := strings.Map(func(r rune) rune {
		if special(r) {
			return '-'
		}
		return r
	}, text)
	if name = strings.Trim(name[:min(len(name), 63)], "-"); name == "" {
		return "registrar"
	}
	return name
}

func on(name string) string {
	if name == "" {
		return ""
	}
	return " on " + name
}

func interfaceNames() string {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		return "none"
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return strings.Join(names, ", ")
}

// interfaceAddresses are all addresses of an interface.
func interfaceAddresses(iface *net.Interface) ([]net.IP, error) {
	addrs, err := iface.Addrs()
	return unicast(addrs, true), err
}

// machineAddresses are all addresses of the machine but those of loopback.
func machineAddresses() ([]net.IP, error) {
	addrs, err := net.InterfaceAddrs()
	return unicast(addrs, false), err
}

// maxAddresses keeps an answer within one packet.
const maxAddresses = 16

func unicast(addrs []net.Addr, loopback bool) (ips []net.IP) {
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsUnspecified() || n.IP.IsMulticast() || n.IP.IsLoopback() && !loopback {
			continue
		}
		if ips = append(ips, n.IP); len(ips) == maxAddresses {
			break
		}
	}
	return ips
}

// A zone answers for the services.
type zone struct {
	services  []Service
	instance  string
	addresses func() ([]net.IP, error)

	mu    sync.Mutex
	read  time.Time  // guarded by mu; when the addresses were read
	known []*records // guarded by mu; nil where there is no address

	second   time.Time // guarded by mu; when the second began in which
	answered int       // guarded by mu; so many questions were answered
}

// records are those of one service, and the names it answers to.
type records struct {
	*mdns.MDNSService
	names []string
}

// Records answers one question. Names are compared as DNS does, letter case
// ignored (RFC 6762 §16).
func (z *zone) Records(q dns.Question) (all []dns.RR) {
	seen := map[string]bool{}
	for _, r := range z.current() {
		i := slices.IndexFunc(r.names, func(name string) bool { return strings.EqualFold(name, q.Name) })
		if i < 0 {
			continue
		}
		if len(all) == 0 && !z.admit() {
			return nil
		}
		asked := q
		asked.Name = r.names[i]
		for _, rr := range r.MDNSService.Records(asked) {
			if text := rr.String(); !seen[text] { // the services share a host
				seen[text] = true
				all = append(all, rr)
			}
		}
	}
	return all
}

// admit reports whether another question is answered within this second.
func (z *zone) admit() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if now := time.Now(); now.Sub(z.second) >= time.Second {
		z.second, z.answered = now, 0
	}
	z.answered++
	return z.answered <= maxAnswers
}

// current are the records with the addresses of now, or those of before where
// they cannot be read.
func (z *zone) current() []*records {
	z.mu.Lock()
	defer z.mu.Unlock()
	if now := time.Now(); z.read.IsZero() || now.Sub(z.read) >= addressesFor {
		z.read = now
		if ips, err := z.addresses(); err == nil {
			z.known = z.make(ips)
		}
	}
	return z.known
}

func (z *zone) make(ips []net.IP) (all []*records) {
	if len(ips) == 0 {
		return nil
	}
	host := strings.ReplaceAll(z.instance, "_", "-") + "." + domain
	for _, s := range z.services {
		service, err := mdns.NewMDNSService(z.instance, string(s.Type), domain, host, s.Port, ips, []string{Variation})
		if err != nil {
			return nil // check has seen to that
		}
		all = append(all, &records{service, []string{
			"_services._dns-sd._udp." + domain, string(s.Type) + "." + domain, z.instance + "." + string(s.Type) + "." + domain, host,
		}})
	}
	return all
}
