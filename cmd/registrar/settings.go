package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/announce"
	"github.com/vouchmill/vouchmill/cmd/internal/config"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

// Files of a registrar's directory.
const (
	fileConfig      = "registrar.yaml"
	fileKey         = "registrar.key"
	fileCertificate = "registrar.pem"
	fileCAKey       = "domain-ca.key"
	fileCA          = "domain-ca.pem"
	dirState        = "state"
	fileSocket      = "admin.sock"
)

// settings are what registrar.yaml holds.
type settings struct {
	url    string
	listen []string

	state, adminSocket string
	adminListen        string
	adminCA            []string

	key, certificate, keyPass string
	caKey, caCertificate      string
	former, cacerts           []string

	admit, audit string
	knownDomains []string

	masaHosts                 []string
	masaTimeout               time.Duration
	patience, verdictPatience time.Duration
	maxExchanges              int

	certificateProfile
	labels            []*label
	enrolmentsPerDay  int
	crlLifetime       time.Duration
	acceptBase64      bool
	strictProximity   bool
	dataContentType   bool
	burst             int
	refill            time.Duration
	connections       int
	handshakes        int
	addressHandshakes int
	requests          int

	announce          bool
	announceInterface string
	announceName      string

	logLevel, logFormat string
}

// A certificateProfile is what the certificates of devices are like.
type certificateProfile struct {
	lifetime     time.Duration
	keyKinds     []string
	organization string
	units        []string
	crlURLs      []string
}

// A label is a label of EST with what is set for it alone.
type label struct {
	name string
	certificateProfile
	table *config.Table
}

// defaults are those of a registrar whose directory is dir.
func defaults(dir string) *settings {
	at := func(name string) string { return filepath.Join(dir, name) }
	return &settings{
		state: at(dirState), adminSocket: at(fileSocket), key: at(fileKey), certificate: at(fileCertificate), caKey: at(fileCAKey), caCertificate: at(fileCA),
		admit: string(registrar.AdmitListed), audit: string(registrar.AuditRequire),
		masaTimeout: 30 * time.Second, patience: 10 * time.Second, verdictPatience: 10 * time.Second, maxExchanges: 256,
		certificateProfile: certificateProfile{keyKinds: kindNames(ca.DefaultKinds()), lifetime: 365 * 24 * time.Hour}, enrolmentsPerDay: 10, crlLifetime: 7 * 24 * time.Hour,
		burst: 60, refill: time.Second, connections: 4096, handshakes: 512, addressHandshakes: 64, requests: 1024,
		logLevel: "info", logFormat: "text",
	}
}

func kindNames(kinds []ca.KeyKind) (names []string) {
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return names
}

const day = 24 * time.Hour

// table binds the keys of the file. Its order is that in which an operator meets
// them.
func (s *settings) table() *config.Table {
	type key = config.Key
	bindings := []config.Binding{
		config.Text(&s.url, key{Name: "url", Values: "https://HOST:PORT", Default: "required", Meaning: "where pledges and EST clients find this registrar; port 0 takes a free one"}, checkURL),
		config.List(&s.listen, key{Name: "listen", Values: "HOST:PORT, or a list of them", Default: "all addresses, or every loopback address where url names one", Meaning: "addresses to listen on"}, checkAddress),
		config.Of(&s.admit, key{Name: "admit", Values: "list, ask or manufacturer", Default: "list", Meaning: "which devices may join: those on the list; those, while others wait until an operator decides; or all that a configured manufacturer vouches for, but those that were refused"}, config.OneOf("list", "ask", "manufacturer")),
		config.Of(&s.audit, key{Name: "audit", Values: "require, prefer or off", Default: "require", Meaning: "what a device's audit log is needed for (RFC 8995 section 5.8): no certificate without a log in order; none against a log that is not; or it is not asked for"}, config.OneOf("require", "prefer", "off")),
		config.List(&s.knownDomains, key{Name: "known-domains", Values: "domainIDs in base64 or hexadecimal", Default: "none", Meaning: "former owners whose entries in an audit log are no reason against a device"}, checkDomainID),
		config.Path(&s.state, key{Name: "state", Values: "DIR", Default: "state beside this file", Meaning: "the database: devices, manufacturers, what was decided and issued"}),
		config.Path(&s.adminSocket, key{Name: "admin-socket", Values: "FILE", Default: "admin.sock beside this file", Meaning: "Unix socket of the admin API; whoever may open it may do everything"}),
		config.Text(&s.adminListen, key{Name: "admin-listen", Values: "HOST:PORT", Default: "not offered", Meaning: "admin API for other machines, by TLS with client certificates of admin-client-ca"}, checkAddress),
		config.Paths(&s.adminCA, key{Name: "admin-client-ca", Values: "FILE, or a list of them", Default: "none", Meaning: "CA of the clients of admin-listen"}),
		config.Path(&s.certificate, key{Name: "certificate", Values: "FILE", Default: "registrar.pem beside this file", Meaning: "the registrar's certificate with id-kp-cmcRA and its issuers up to the domain CA, for TLS and voucher-requests"}),
		config.URIOrPath(&s.key, key{Name: "key", Values: "FILE or pkcs11:URI", Default: "registrar.key beside this file", Meaning: "its private key"}, pkcs11.IsURI),
		config.Path(&s.caCertificate, key{Name: "ca-certificate", Values: "FILE", Default: "domain-ca.pem beside this file", Meaning: "the CA that certifies devices"}),
		config.URIOrPath(&s.caKey, key{Name: "ca-key", Values: "FILE or pkcs11:URI", Default: "domain-ca.key beside this file", Meaning: "its private key"}, pkcs11.IsURI),
		config.Path(&s.keyPass, key{Name: "key-pass-file", Values: "FILE", Default: "VOUCHMILL_KEY_PASS, or asked for", Meaning: "passphrase of encrypted keys, in the first line"}),
		config.Paths(&s.cacerts, key{Name: "further-cacerts", Values: "FILE, or a list of them", Default: "none", Meaning: "CA certificates that cacerts answers with beside this domain's, at a rollover (RFC 7030 section 4.1.3)"}),
		config.Paths(&s.former, key{Name: "former-certificates", Values: "FILE, or a list of them", Default: "none", Meaning: "certificates of this registrar that pledges may have seen a moment ago"}),
		config.List(&s.masaHosts, key{Name: "masa-hosts", Values: "HOST or HOST:PORT, or a list of them", Default: "none", Meaning: "MASAs that may have private or loopback addresses although they are trusted by the system's anchors alone"}, checkHost),
		config.Duration(&s.masaTimeout, key{Name: "masa-timeout", Values: "DURATION", Default: "30s", Meaning: "for one exchange with a MASA, repetition included"}, time.Second, 10*time.Minute),
		config.Int(&s.maxExchanges, key{Name: "max-exchanges", Values: "a number", Default: "256", Meaning: "exchanges with MASAs at a time"}, 1, 1<<16),
		config.Duration(&s.patience, key{Name: "patience", Values: "DURATION", Default: "10s", Meaning: "how long a pledge is kept waiting for its MASA before it is told to come back"}, time.Millisecond, time.Minute),
		config.Duration(&s.verdictPatience, key{Name: "verdict-patience", Values: "DURATION", Default: "10s", Meaning: "how long an enrolment is kept waiting for the device's audit log"}, time.Millisecond, time.Minute),
	}
	bindings = append(bindings, s.certificateProfile.bindings()...)
	bindings = append(bindings,
		config.Sections(key{Name: "labels", Values: "a list of path segments, or a mapping of each to settings of its own, as in {floor-2: {certificate-lifetime: 30d, certificate-keys: [P-256]}, floor-3: {}}", Default: "none", Meaning: "EST is served under /.well-known/est/LABEL/ too (RFC 7030 section 3.2.2), for devices whose certificates may be of another kind: " + profileKeys() + " may be set for a label, and are as without one where they are not"}, s.addLabel, s.sections),
		config.Int(&s.enrolmentsPerDay, key{Name: "enrolments-per-day", Values: "a number", Default: "10", Meaning: "certificates that one device gets on a day, renewals included"}, 1, 1<<20),
		config.Duration(&s.crlLifetime, key{Name: "crl-lifetime", Values: "DURATION", Default: "7d", Meaning: "from one revocation list to the time at which verifiers want another"}, time.Minute, 365*day),
		config.Bool(&s.acceptBase64, key{Name: "accept-base64", Values: "true or false", Default: "false", Meaning: "take voucher-requests in base64, as one device stack sends them"}),
		config.Bool(&s.strictProximity, key{Name: "strict-proximity", Values: "true or false", Default: "false", Meaning: "refuse voucher-requests that name this registrar and leave out the assertion"}),
		config.Bool(&s.dataContentType, key{Name: "data-content-type", Values: "true or false", Default: "false", Meaning: "state id-data in voucher-requests, for MASAs older than RFC 8366"}),
		config.Int(&s.burst, key{Name: "request-burst", Values: "a number", Default: "60", Meaning: "requests that one client key may make at once"}, 1, 1<<20),
		config.Duration(&s.refill, key{Name: "request-refill", Values: "DURATION", Default: "1s", Meaning: "after which it may make one more"}, time.Millisecond, time.Hour),
		config.Int(&s.connections, key{Name: "max-connections", Values: "a number", Default: "4096", Meaning: "connections at a time"}, 1, 1<<20),
		config.Int(&s.handshakes, key{Name: "max-handshakes", Values: "a number", Default: "512", Meaning: "TLS handshakes at a time"}, 1, 1<<20),
		config.Int(&s.addressHandshakes, key{Name: "max-handshakes-per-address", Values: "a number", Default: "64", Meaning: "TLS handshakes of one address at a time; a join proxy is one address"}, 1, 1<<20),
		config.Int(&s.requests, key{Name: "max-requests", Values: "a number", Default: "1024", Meaning: "requests in work at a time"}, 1, 1<<20),
		config.Bool(&s.announce, key{Name: "announce", Values: "true or false", Default: "false", Meaning: "be found by multicast DNS, as a registrar by join proxies and as a proxy by pledges"}),
		config.Text(&s.announceInterface, key{Name: "announce-interface", Values: "NAME", Default: "the system's choice", Meaning: "network interface to announce on"}, nil),
		config.Text(&s.announceName, key{Name: "announce-name", Values: "NAME", Default: "made of the url's host", Meaning: "name of this registrar among others on the link"}, announce.CheckInstance),
		config.Of(&s.logLevel, key{Name: "log-level", Values: "debug, info, warn or error", Default: "info", Meaning: "what is logged, to standard error"}, config.OneOf("debug", "info", "warn", "error")),
		config.Of(&s.logFormat, key{Name: "log-format", Values: "text or json", Default: "text", Meaning: "how"}, config.OneOf("text", "json")),
	)
	return config.NewTable("registrar", bindings...)
}

// bindings are the keys of a profile.
func (p *certificateProfile) bindings() []config.Binding {
	return []config.Binding{
		config.Duration(&p.lifetime, config.Key{Name: "certificate-lifetime", Values: "DURATION", Default: "365d", Meaning: "of the certificates of devices"}, time.Minute, 20*365*day),
		config.List(&p.keyKinds, config.Key{Name: "certificate-keys", Values: "a list of P-256, P-384, P-521, RSA, Ed25519", Default: "P-256, P-384 and RSA of at least 2048 bits", Meaning: "keys of devices that are certified"}, checkKind),
		config.Text(&p.organization, config.Key{Name: "organization", Values: "TEXT", Default: "none", Meaning: "organization that every device's subject must have"}, nil),
		config.List(&p.units, config.Key{Name: "organizational-units", Values: "TEXT, or a list of them", Default: "none", Meaning: "organizational units that every device's subject must have"}, nil),
		config.List(&p.crlURLs, config.Key{Name: "crl-urls", Values: "URL, or a list of them", Default: "none", Meaning: "where verifiers find the revocation list, written into certificates; this registrar serves it at " + pathCRL}, checkCRLURL),
	}
}

// profileKeys names them.
func profileKeys() string {
	var names []string
	for _, b := range new(certificateProfile).bindings() {
		names = append(names, b.Name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// addLabel adds a label and returns the table of its keys.
func (s *settings) addLabel(name string) (*config.Table, error) {
	l := &label{name: name}
	l.table = config.NewTable("registrar", l.bindings()...)
	s.labels = append(s.labels, l)
	return l.table, nil
}

// sections are the labels as the configuration has them.
func (s *settings) sections() (all []config.Section) {
	for _, l := range s.labels {
		all = append(all, config.Section{Name: l.name, Table: l.table})
	}
	return all
}

// profileOf is what holds for a label: what it sets, and what is set without one.
func (s *settings) profileOf(l *label) certificateProfile {
	p := l.certificateProfile
	for name, inherit := range map[string]func(){
		"certificate-lifetime": func() { p.lifetime = s.lifetime },
		"certificate-keys":     func() { p.keyKinds = s.keyKinds },
		"organization":         func() { p.organization = s.organization },
		"organizational-units": func() { p.units = s.units },
		"crl-urls":             func() { p.crlURLs = s.crlURLs },
	} {
		if !l.table.IsSet(name) {
			inherit()
		}
	}
	return p
}

// load reads a configuration.
func load(file string) (*settings, error) {
	s := defaults(filepath.Dir(file))
	if err := s.table().Load(file); err != nil {
		return nil, program.Usagef("%w", err)
	}
	if s.adminListen != "" && len(s.adminCA) == 0 {
		return nil, program.Usagef("%s: admin-listen needs admin-client-ca: without it everybody could administer this registrar", file)
	}
	return s, nil
}

func checkURL(text string) error {
	_, err := web.ParseURL(text)
	return err
}

func checkAddress(text string) error {
	if _, _, err := net.SplitHostPort(text); err != nil {
		return fmt.Errorf("%.80q is not HOST:PORT: %w", text, err)
	}
	return nil
}

func checkHost(text string) error {
	host := text
	if h, _, err := net.SplitHostPort(text); err == nil {
		host = h
	}
	if host == "" || strings.ContainsAny(host, "/@ ") {
		return fmt.Errorf("%.80q is neither HOST nor HOST:PORT", text)
	}
	return nil
}

func checkKind(text string) error {
	_, err := ca.ParseKeyKind(text)
	return err
}

func checkCRLURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%.80q is no http or https URL", text)
	}
	return nil
}

func checkDomainID(text string) error {
	_, err := parseDomainID(text)
	return err
}

// parseDomainID reads a domainID: 20 or 32 octets (RFC 8995 §5.8.2).
func parseDomainID(text string) ([]byte, error) {
	for _, decode := range []func(string) ([]byte, error){hex.DecodeString, base64.StdEncoding.DecodeString} {
		if id, err := decode(text); err == nil && (len(id) == 20 || len(id) == 32) {
			return id, nil
		}
	}
	return nil, fmt.Errorf("%.80q is no domainID: 20 or 32 octets in base64 or hexadecimal", text)
}

// level is the log level by its name.
func (s *settings) level() slog.Level {
	var l slog.Level
	if l.UnmarshalText([]byte(s.logLevel)) != nil {
		return slog.LevelInfo
	}
	return l
}
