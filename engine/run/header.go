package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/profile"
)

// HeaderVersion is the version of the header's JSON that this package writes.
// ParseHeader refuses any other.
const HeaderVersion = 1

// PinAs says in which leaf a pin goes into a voucher.
type PinAs string

// The three kinds of pin (draft-ietf-anima-rfc8366bis).
const (
	PinCert       PinAs = "cert"        // pinned-domain-cert: the whole certificate
	PinPubk       PinAs = "pubk"        // pinned-domain-pubk: its SubjectPublicKeyInfo
	PinPubkSHA256 PinAs = "pubk-sha256" // pinned-domain-pubk-sha256: the SHA-256 of that
)

// A Pin is a certificate a run may pin, under the name device lists call it by.
// The default pin has the empty name.
type Pin struct {
	Name string `json:"name"`
	Cert []byte `json:"cert"` // DER
}

// A Header is everything that decides the bytes of a run's vouchers, apart from
// the device list itself. It is written once, durably, before the first page,
// and is the only source of settings when the run is resumed or read.
//
// Times are whole seconds in UTC. Durations were resolved against CreatedOn
// before the header was made, but ExpiresOn keeps what was asked, so that the
// same command gives the same settings tomorrow.
type Header struct {
	Version    int      `json:"version"`
	Name       string   `json:"name"`
	Format     string   `json:"format"`    // cms, jws or cose
	Algorithm  string   `json:"algorithm"` // the registry's name: ES256 …
	Chain      [][]byte `json:"chain"`     // DER, signer first
	CreatedOn  string   `json:"created-on"`
	ExpiresOn  string   `json:"expires-on"` // RFC 3339, a duration after created-on, or never
	Assertion  string   `json:"assertion"`
	PinAs      PinAs    `json:"pin-as"`
	Pins       []Pin    `json:"pins"`
	SerialFrom string   `json:"serial-from"`

	// Issuer is the canonical idevid-issuer of rows that name none.
	Issuer        []byte `json:"idevid-issuer,omitempty"`
	IncludeIssuer bool   `json:"include-issuer,omitempty"`
	SerialBytes   int    `json:"serial-bytes"` // longest serial number accepted

	DataContentType bool `json:"econtent-data,omitempty"` // CMS: id-data, for old pledges
	SigningTime     bool `json:"signing-time,omitempty"`  // CMS: signing-time = created-on
	Hedged          bool `json:"hedged,omitempty"`
	Reproducible    bool `json:"reproducible"` // the signer gives the same bytes again

	Delta       string `json:"delta,omitempty"` // the older run this one completes
	RenewBefore string `json:"renew-before,omitempty"`

	LastRenewalDate            string   `json:"last-renewal-date,omitempty"`
	DomainCertRevocationChecks *bool    `json:"domain-cert-revocation-checks,omitempty"`
	EstDomain                  string   `json:"est-domain,omitempty"`
	AdditionalConfigurationURL string   `json:"additional-configuration-url,omitempty"`
	Extensions                 []string `json:"extensions,omitempty"`
	ManufacturerProprietary    []byte   `json:"manufacturer-proprietary,omitempty"`
}

// Marshal returns the header's canonical JSON: members in the order of the
// struct, no blanks. Equal headers give equal bytes.
func (h *Header) Marshal() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	return json.Marshal(h)
}

// ErrHeader is wrapped by every error about a header that cannot be used.
var ErrHeader = errors.New("run header")

// ParseHeader reads what Marshal wrote. A header of another version, with
// members it does not know or with values that cannot be is refused.
func ParseHeader(b []byte) (*Header, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: not readable: %v; restore the store from a copy", ErrHeader, err)
	}
	if v.Version != HeaderVersion {
		return nil, fmt.Errorf("%w: version %d, this program knows %d; use the program that wrote it", ErrHeader, v.Version, HeaderVersion)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	h := new(Header)
	if err := d.Decode(h); err != nil {
		return nil, fmt.Errorf("%w: %v; restore the store from a copy", ErrHeader, err)
	}
	if err := h.check(); err != nil {
		return nil, err
	}
	return h, nil
}

// NewName makes a run name from a time and four random octets' worth of caller
// entropy: YYYYMMDDThhmmssZ-xxxx.
func NewName(now time.Time, random [2]byte) string {
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(random[:])
}

func (h *Header) check() error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrHeader, fmt.Sprintf(format, a...))
	}
	if h.Version != HeaderVersion {
		return fail("version %d, want %d", h.Version, HeaderVersion)
	}
	if err := profile.CheckRunName(h.Name); err != nil {
		return fail("%v", err)
	}
	if len(h.Chain) == 0 {
		return fail("no certificate chain")
	}
	if len(h.Pins) == 0 {
		return fail("no pin")
	}
	seen := make(map[string]bool)
	for _, p := range h.Pins {
		if seen[p.Name] {
			return fail("pin %q twice", p.Name)
		}
		seen[p.Name] = true
	}
	switch h.PinAs {
	case PinCert, PinPubk, PinPubkSHA256:
	default:
		return fail("pin-as %q, want cert, pubk or pubk-sha256", h.PinAs)
	}
	created, err := h.Created()
	if err != nil {
		return err
	}
	if _, err := ResolveExpiry(h.ExpiresOn, created); err != nil {
		return fail("%v", err)
	}
	return nil
}

// Created returns the created-on of the run's vouchers.
func (h *Header) Created() (time.Time, error) {
	t, err := time.Parse(time.RFC3339, h.CreatedOn)
	if err != nil || t.Nanosecond() != 0 || t.Location() != time.UTC {
		return time.Time{}, fmt.Errorf("%w: created-on %q is not a whole UTC second", ErrHeader, h.CreatedOn)
	}
	return t, nil
}

// FormatTime writes t as headers and vouchers carry it: RFC 3339, UTC, whole
// seconds.
func FormatTime(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// A Difference is one setting in which two headers disagree.
type Difference struct {
	Setting string `json:"setting"`
	Run     string `json:"run"`   // what the stored run has
	Asked   string `json:"asked"` // what the command asked for
}

// String says the difference in one line.
func (d Difference) String() string {
	return fmt.Sprintf("%s: the run has %s, asked for %s", d.Setting, d.Run, d.Asked)
}

// Differences lists the settings in which asked differs from the stored header.
// The name is not compared, and created-on only where givenCreated says that
// the command named one.
func (h *Header) Differences(asked *Header, givenCreated bool) []Difference {
	var out []Difference
	a, b := h.settings(), asked.settings()
	for i := range a {
		if a[i].name == "created-on" && !givenCreated {
			continue
		}
		if a[i].value != b[i].value {
			out = append(out, Difference{a[i].name, a[i].show(), b[i].show()})
		}
	}
	return out
}

// fingerprint names a certificate the way openssl x509 -fingerprint -sha256
// does, but for the colons.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

type setting struct{ name, value string }

// show keeps a difference readable: long values are named by their beginning.
func (s setting) show() string {
	switch {
	case s.value == "":
		return "nothing"
	case len(s.value) > 96:
		return s.value[:93] + "…"
	}
	return s.value
}

func (h *Header) settings() []setting {
	b64 := base64.StdEncoding.EncodeToString
	var chain, pins []string
	for _, c := range h.Chain {
		chain = append(chain, fingerprint(c))
	}
	for _, p := range h.Pins {
		name := p.Name
		if name != "" {
			name += "="
		}
		pins = append(pins, name+fingerprint(p.Cert))
	}
	checks := ""
	if h.DomainCertRevocationChecks != nil {
		checks = fmt.Sprint(*h.DomainCertRevocationChecks)
	}
	return []setting{
		{"format", h.Format},
		{"key and certificate", h.Algorithm + " " + strings.Join(chain, " ")},
		{"created-on", h.CreatedOn},
		{"expires-on", h.ExpiresOn},
		{"assertion", h.Assertion},
		{"pin-as", string(h.PinAs)},
		{"pin", strings.Join(pins, " ")},
		{"serial-from", h.SerialFrom},
		{"idevid-issuer", hex.EncodeToString(h.Issuer)},
		{"include-issuer", fmt.Sprint(h.IncludeIssuer)},
		{"serial-bytes", fmt.Sprint(h.SerialBytes)},
		{"econtent", map[bool]string{true: "data", false: "anima"}[h.DataContentType]},
		{"signing-time", fmt.Sprint(h.SigningTime)},
		{"hedged", fmt.Sprint(h.Hedged)},
		{"reproducible", fmt.Sprint(h.Reproducible)},
		{"delta", h.Delta},
		{"renew-before", h.RenewBefore},
		{"last-renewal-date", h.LastRenewalDate},
		{"domain-cert-revocation-checks", checks},
		{"est-domain", h.EstDomain},
		{"additional-configuration-url", h.AdditionalConfigurationURL},
		{"extensions", strings.Join(h.Extensions, " ")},
		{"manufacturer-proprietary", b64(h.ManufacturerProprietary)},
	}
}
