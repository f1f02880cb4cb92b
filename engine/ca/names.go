package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec/est"
)

const (
	// maxAttribute is ub-common-name and ub-organization-name (RFC 5280
	// appendix A.1), in characters.
	maxAttribute = 64
	// maxName bounds a DER Name or GeneralNames that a requester gave, in octets.
	maxName = 8 << 10
)

// subjectName is the DER Name of organisation, common name and serial number,
// those that are not empty: PrintableString where the characters allow it,
// else UTF8String (RFC 5280 §4.1.2.4).
func subjectName(subject, commonName, organization, serial string) ([]byte, error) {
	if commonName == "" && serial == "" {
		return nil, fail(subject, ErrName, "the subject has no common name")
	}
	name := pkix.Name{CommonName: commonName, SerialNumber: serial}
	if organization != "" {
		name.Organization = []string{organization}
	}
	for _, value := range []string{commonName, organization} {
		if n := utf8.RuneCountInString(value); n > maxAttribute || !utf8.ValidString(value) || strings.ContainsFunc(value, isControl) {
			return nil, fail(subject, ErrName, "common name and organisation are UTF-8 of at most %d characters without control characters, not %.100q", maxAttribute, value)
		}
	}
	der, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		return nil, &Error{Subject: subject, Kind: ErrName, Err: err}
	}
	return der, nil
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

// checkName checks that bytes are one DER Name with at least one attribute
// (RFC 5280 §4.1.2.4), and nothing after it. Values are not looked at.
func checkName(subject string, der []byte) error {
	if len(der) > maxName {
		return fail(subject, ErrName, "a subject of %d octets, the limit is %d", len(der), maxName)
	}
	attributes, err := est.ParseName(der, est.Limits{})
	if err != nil {
		return &Error{Subject: subject, Kind: ErrName, Detail: "the subject", Err: err}
	}
	if len(attributes) == 0 {
		return fail(subject, ErrName, "the subject is empty")
	}
	return nil
}

// ServerNames are the names of a server, for its certificate's subjectAltName.
type ServerNames struct {
	DNS []string
	IPs []net.IP
}

// ParseServerNames sorts hosts, as they stand in a URL less brackets and port,
// into DNS names and addresses. Any loopback name brings localhost, 127.0.0.1
// and ::1, as clients on the same machine use them interchangeably. Doubles are
// dropped, DNS names become lower case. Wildcards and names that are not ASCII
// are refused with an [*Error] of kind [ErrName].
func ParseServerNames(hosts ...string) (ServerNames, error) {
	var names ServerNames
	for _, host := range hosts {
		if err := names.add(host); err != nil {
			return ServerNames{}, err
		}
	}
	if names.Loopback() {
		for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
			if err := names.add(host); err != nil {
				return ServerNames{}, err
			}
		}
	}
	return names, nil
}

// Loopback reports whether one of the names is localhost or a loopback address.
func (n *ServerNames) Loopback() bool {
	return slices.Contains(n.DNS, "localhost") || slices.ContainsFunc(n.IPs, net.IP.IsLoopback)
}

func (n *ServerNames) add(host string) error {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return &Error{Subject: "server name", Kind: ErrName, Detail: strconv.Quote(host) + " has a zone", Remedy: "certificates hold plain addresses"}
		}
		ip := net.IP(addr.Unmap().AsSlice())
		if !slices.ContainsFunc(n.IPs, ip.Equal) {
			n.IPs = append(n.IPs, ip)
		}
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if err := checkDNS(name); err != nil {
		return err
	}
	if !slices.Contains(n.DNS, name) {
		n.DNS = append(n.DNS, name)
	}
	return nil
}

// checkDNS checks the preferred syntax of RFC 1034 §3.5 as relaxed by RFC 1123
// §2.1: labels of letters, digits and inner hyphens; a last label of digits
// only would be a misspelt address.
func checkDNS(name string) error {
	refuse := func(detail string) error {
		return &Error{Subject: "server name", Kind: ErrName, Detail: strconv.QuoteToASCII(name) + " " + detail, Remedy: "give a host name in ASCII (xn-- for others) or an address, without port or brackets"}
	}
	if name == "" || len(name) > 253 {
		return refuse("is empty or longer than 253 octets")
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return refuse("has a label that is empty, longer than 63 octets or begins or ends with a hyphen")
		}
		if strings.ContainsFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
		}) {
			return refuse("has characters that host names do not have")
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return refuse("is neither a host name nor an address")
	}
	return nil
}

// check repeats what ParseServerNames checks, for names put together by hand.
func (n *ServerNames) check(subject string) error {
	for _, name := range n.DNS {
		if err := checkDNS(name); err != nil {
			return err
		}
	}
	for _, ip := range n.IPs {
		if ip.To16() == nil {
			return fail(subject, ErrName, "an address of %d octets", len(ip))
		}
	}
	return nil
}

// checkMASAURL checks a value for id-pe-masa-url (RFC 8995 §2.3.2): an
// authority, or a URI that a registrar will follow, https and without query.
func checkMASAURL(subject, value string) error {
	text := value
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(value, func(r rune) bool { return r <= 0x20 || r >= 0x7f }):
	case u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
	default:
		if port := u.Port(); port != "" {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				break
			}
		}
		return nil
	}
	return &Error{Subject: subject, Kind: ErrName, Detail: "MASA URL " + strconv.QuoteToASCII(value),
		Remedy: "it is HOST, HOST:PORT or an https URI without user, query and fragment (RFC 8995 section 2.3.2)"}
}

// checkListURL checks the address of a revocation list (RFC 5280 §4.2.1.13).
func checkListURL(subject, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(value, "#") ||
		strings.ContainsFunc(value, func(r rune) bool { return r <= 0x20 || r >= 0x7f }) {
		return &Error{Subject: subject, Kind: ErrName, Detail: "CRL distribution point " + strconv.QuoteToASCII(value), Remedy: "it is an http or https URI"}
	}
	return nil
}
