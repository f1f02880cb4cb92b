package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"

	"github.com/vouchmill/vouchmill/engine/ca"
)

// portTries is how often a port is tried that the system chose for one loopback
// address and that somebody else has on the other.
const portTries = 16

// ParseURL reads the URL that a server is to be found at: https, a host, perhaps
// a port, and nothing else.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%.200q is not a URL: %w", text, err)
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%.200q is not https://HOST or https://HOST:PORT", text)
	}
	if _, err := portOf(u); err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: u.Host}, nil
}

func portOf(u *url.URL) (uint16, error) {
	if u.Port() == "" {
		return 443, nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("the port of %.200q is not a number from 0 to 65535", u.String())
	}
	return uint16(n), nil
}

// Listen opens the listeners of a server that is to be found at u, and returns
// them with the URL as it then is: port 0 becomes the port that was free. When
// addresses are given (HOST:PORT each), those are listened on. Otherwise a
// loopback name means every loopback address and any other name all addresses
// of the machine. A machine without IPv6 is no error.
func Listen(ctx context.Context, u *url.URL, addresses []string) ([]net.Listener, *url.URL, error) {
	port, err := portOf(u)
	if err != nil {
		return nil, nil, err
	}
	if len(addresses) > 0 {
		listeners, err := listenAll(ctx, addresses)
		return listeners, u, err
	}
	names, err := ca.ParseServerNames(u.Hostname())
	if err != nil {
		return nil, nil, err
	}
	var listeners []net.Listener
	if names.Loopback() {
		listeners, err = listenLoopback(ctx, u.Hostname(), port)
	} else {
		listeners, err = listenAll(ctx, []string{net.JoinHostPort("", strconv.Itoa(int(port)))})
	}
	if err != nil {
		return nil, nil, err
	}
	if port == 0 {
		u = &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), strconv.Itoa(listenedPort(listeners[0])))}
	}
	return listeners, u, nil
}

func listenAll(ctx context.Context, addresses []string) (listeners []net.Listener, err error) {
	var lc net.ListenConfig
	for _, address := range addresses {
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// listenLoopback listens on 127.0.0.1, ::1 and the host where it is another
// loopback address, all with one port.
func listenLoopback(ctx context.Context, host string, port uint16) ([]net.Listener, error) {
	hosts := []string{"127.0.0.1", "::1"}
	if addr, err := netip.ParseAddr(host); err == nil && addr != netip.MustParseAddr(hosts[0]) && addr != netip.IPv6Loopback() {
		hosts = append(hosts, host)
	}
	for try := 1; ; try++ {
		listeners, err := listenHosts(ctx, hosts, port)
		if err == nil || port != 0 || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return listeners, err
		}
	}
}

func listenHosts(ctx context.Context, hosts []string, port uint16) (listeners []net.Listener, err error) {
	for _, host := range hosts {
		l, err := listenAll(ctx, []string{net.JoinHostPort(host, strconv.Itoa(int(port)))})
		if len(listeners) > 0 && noSuchAddress(err) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, l...)
		port = uint16(listenedPort(l[0]))
	}
	return listeners, nil
}

// noSuchAddress tells the errors of a machine without IPv6.
func noSuchAddress(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

func listenedPort(l net.Listener) int {
	if at, ok := l.Addr().(*net.TCPAddr); ok {
		return at.Port
	}
	return 0
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}
