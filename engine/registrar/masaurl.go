package registrar

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL bounds a MASA URL, in octets.
const maxURL = 1024

// wellKnown is where BRSKI lives on a server (RFC 8995 §8.3.1).
const wellKnown = "/.well-known/brski"

// MASABase returns the URL that the operations of a MASA hang under, by the
// value of id-pe-masa-url or of a setting (RFC 8995 §2.3.2): without a slash it
// is an authority, and the well-known path follows; with one it is a URI, to
// which https is prefixed where it has no scheme. Any other scheme is refused
// and never rewritten. So are user names, queries and fragments.
func MASABase(value string) (string, error) {
	u, err := parseMASA(value)
	if err != nil {
		return "", fmt.Errorf("MASA URL %.200q: %w; want HOST, HOST:PORT or an https URI without user, query and fragment (RFC 8995 section 2.3.2)", value, err)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if path == "" {
		path = wellKnown
	}
	return "https://" + strings.ToLower(u.Host) + path, nil
}

func parseMASA(value string) (*url.URL, error) {
	switch {
	case value == "" || len(value) > maxURL:
		return nil, fmt.Errorf("it has %d octets, want 1 to %d", len(value), maxURL)
	case strings.ContainsFunc(value, func(r rune) bool { return r <= 0x20 || r >= 0x7f || strings.ContainsRune("\\\"<>^`{|}", r) }):
		return nil, fmt.Errorf("it has characters that URLs do not have")
	}
	text := value
	scheme, _, found := strings.Cut(value, "://")
	switch {
	case !found || !isScheme(scheme):
		text = "https://" + value
	case !strings.EqualFold(scheme, "https"):
		return nil, fmt.Errorf("its scheme is %s, not https", scheme)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	switch {
	case u.User != nil:
		return nil, fmt.Errorf("it names a user")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, fmt.Errorf("it has a query")
	case strings.Contains(value, "#"):
		return nil, fmt.Errorf("it has a fragment")
	}
	return u, checkHost(u)
}

func isScheme(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-.", r))
	})
}

// checkHost checks host and port of a URL: a name of letters, digits, hyphens
// and dots, or an address without a zone.
func checkHost(u *url.URL) error {
	host := u.Hostname()
	if host == "" {
		return fmt.Errorf("it names no host")
	}
	if strings.HasPrefix(u.Host, "[") {
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
			return fmt.Errorf("its host is no plain address")
		}
	} else if len(host) > 253 || strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}) {
		return fmt.Errorf("its host is no host name")
	}
	if strings.HasSuffix(u.Host, ":") {
		return fmt.Errorf("its port is empty")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("its port is %s, want 1 to 65535", port)
		}
	}
	return nil
}

// originOf is scheme, host and port of a URL, the default port written out, ""
// for one that is not https or cannot be read.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.User != nil || checkHost(u) != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// sameOrigin resolves the Location of an answer to a call of base, and refuses
// one that leads elsewhere.
func sameOrigin(base, location string) (string, error) {
	from, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if location == "" || len(location) > maxURL {
		return "", fmt.Errorf("its Location has %d octets, want 1 to %d", len(location), maxURL)
	}
	to, err := from.Parse(location)
	if err != nil {
		return "", fmt.Errorf("its Location: %w", err)
	}
	to.Fragment = ""
	if o := originOf(to.String()); o == "" || o != originOf(base) {
		return "", fmt.Errorf("its Location %.200q is not on the origin %s", location, originOf(base))
	}
	return to.String(), nil
}
