package registrar

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A Manufacturer is whose devices may come here.
type Manufacturer struct {
	// Name is the operator's for it: 1 to 64 letters, digits, spaces and marks.
	Name string
	// Anchors issued its IDevIDs, or issued who did; at least one. No two
	// manufacturers share one: the anchor selects the MASA. Intermediates
	// complete chains.
	Anchors, Intermediates []*x509.Certificate
	// MASAURL overrides what IDevIDs state (see MASABase); "" leaves it to them.
	MASAURL string
	// MASATrust is what the MASA's TLS certificate must lead to; empty: the
	// operating system's anchors, and public addresses alone.
	MASATrust []*x509.Certificate
	// VoucherTrust is what the signer of vouchers must lead to; empty: nothing is
	// known about it, and a warning says so with each voucher.
	VoucherTrust []*x509.Certificate
	// AuditKeys are the verifier keys of its MASA's audit log (audit.NewVerifier),
	// all of one log: more than one while its key changes. With them a log that is
	// not proven is a reason against a device, and so is a head of the log that
	// takes back what an earlier one said. Empty: the MASA is believed.
	AuditKeys []string
	// SerialFrom is the fact of an IDevID that is the serial number.
	SerialFrom codec.SerialSource
	// IgnoreLifetime admits IDevIDs that have expired.
	IgnoreLifetime bool
}

// manufacturerRecord is a Manufacturer under its name. Certificates are DER.
type manufacturerRecord struct {
	Anchors        [][]byte `cbor:"1,keyasint"`
	Intermediates  [][]byte `cbor:"2,keyasint,omitempty"`
	MASAURL        string   `cbor:"3,keyasint,omitempty"`
	MASATrust      [][]byte `cbor:"4,keyasint,omitempty"`
	VoucherTrust   [][]byte `cbor:"5,keyasint,omitempty"`
	SerialFrom     string   `cbor:"6,keyasint"`
	IgnoreLifetime bool     `cbor:"7,keyasint,omitempty"`
	AuditKeys      []string `cbor:"8,keyasint,omitempty"`
}

// makers is one state of the manufacturers, in the order of their names. It is
// not changed.
type makers struct {
	list   []device.Manufacturer
	byName map[string]*Manufacturer
	logs   map[string]*audit.Verifier // by name, of those with AuditKeys
}

// maxManufacturers bounds how many there are: all are kept in memory.
const maxManufacturers = 4096

func (s *Service) loadMakers(ctx context.Context) error {
	all := &makers{byName: map[string]*Manufacturer{}, logs: map[string]*audit.Verifier{}}
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		return r.Scan(prefixManufacturer, nil, func(key, value []byte) error {
			record, err := parse[manufacturerRecord](key, value)
			if err != nil {
				return err
			}
			m, err := record.manufacturer(string(key[len(prefixManufacturer):]))
			if err != nil {
				return err
			}
			all.byName[m.Name] = m
			if len(m.AuditKeys) > 0 {
				if all.logs[m.Name], err = audit.NewVerifier(m.AuditKeys...); err != nil {
					return fmt.Errorf("manufacturer %s: %w", m.Name, err)
				}
			}
			all.list = append(all.list, device.Manufacturer{Name: m.Name, Anchors: m.Anchors, Intermediates: m.Intermediates,
				SerialFrom: m.SerialFrom, IgnoreLifetime: m.IgnoreLifetime})
			return nil
		})
	})
	if err == nil {
		s.makers.Store(all)
	}
	return err
}

// AddManufacturer adds a manufacturer, or replaces the one of the same name. It
// holds from the next request on.
func (s *Service) AddManufacturer(ctx context.Context, m Manufacturer) error {
	if err := m.check(); err != nil {
		return err
	}
	s.addMu.Lock()
	defer s.addMu.Unlock()
	known := s.makers.Load()
	if _, found := known.byName[m.Name]; !found && len(known.list) >= maxManufacturers {
		return fmt.Errorf("manufacturer %s: there are %d already, which is the limit", m.Name, maxManufacturers)
	}
	for name, other := range known.byName {
		if name == m.Name {
			continue
		}
		if i := slices.IndexFunc(m.Anchors, func(c *x509.Certificate) bool {
			return slices.ContainsFunc(other.Anchors, func(o *x509.Certificate) bool {
				return bytes.Equal(o.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) && bytes.Equal(o.RawSubject, c.RawSubject)
			})
		}); i >= 0 {
			return fmt.Errorf("manufacturer %s: the IDevID CA %q is that of manufacturer %s; an anchor selects one MASA (RFC 8995 section 2.3.2)", m.Name, m.Anchors[i].Subject, name)
		}
	}
	err := s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		return put(tx, under(prefixManufacturer, []byte(m.Name)), m.record())
	})
	if err != nil {
		return err
	}
	return s.loadMakers(context.WithoutCancel(ctx)) // it is durable: it holds
}

// ListManufacturers returns all manufacturers in the order of their names. The
// certificates are shared and must not be changed.
func (s *Service) ListManufacturers() []Manufacturer {
	known := s.makers.Load()
	list := make([]Manufacturer, len(known.list))
	for i := range known.list {
		list[i] = *known.byName[known.list[i].Name]
	}
	return list
}

func (m *Manufacturer) check() error {
	if n := len(m.Name); n == 0 || n > 64 || m.Name != strings.TrimSpace(m.Name) || strings.ContainsFunc(m.Name, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
		return fmt.Errorf("a manufacturer's name is 1 to 64 octets without control characters and outer blanks, not %.80q", m.Name)
	}
	if len(m.Anchors) == 0 {
		return fmt.Errorf("manufacturer %s: it has no IDevID CA; without one no device of it can be told", m.Name)
	}
	for _, c := range slices.Concat(m.Anchors, m.Intermediates) {
		if !c.IsCA {
			return fmt.Errorf("manufacturer %s: the certificate of %q is no CA's and can vouch for no device", m.Name, c.Subject)
		}
	}
	if m.MASAURL != "" {
		if _, err := MASABase(m.MASAURL); err != nil {
			return fmt.Errorf("manufacturer %s: %w", m.Name, err)
		}
	}
	if len(m.AuditKeys) > 0 {
		if _, err := audit.NewVerifier(m.AuditKeys...); err != nil {
			return fmt.Errorf("manufacturer %s: %w", m.Name, err)
		}
	}
	return nil
}

func (m *Manufacturer) record() *manufacturerRecord {
	return &manufacturerRecord{Anchors: ders(m.Anchors), Intermediates: ders(m.Intermediates), MASAURL: m.MASAURL, MASATrust: ders(m.MASATrust),
		VoucherTrust: ders(m.VoucherTrust), SerialFrom: m.SerialFrom.String(), IgnoreLifetime: m.IgnoreLifetime, AuditKeys: m.AuditKeys}
}

func (r *manufacturerRecord) manufacturer(name string) (*Manufacturer, error) {
	m := &Manufacturer{Name: name, MASAURL: r.MASAURL, IgnoreLifetime: r.IgnoreLifetime, AuditKeys: r.AuditKeys}
	var err error
	if m.SerialFrom, err = codec.ParseSerialSource(r.SerialFrom); err != nil {
		return nil, fmt.Errorf("manufacturer %s: %w", name, err)
	}
	for _, part := range []struct {
		to   *[]*x509.Certificate
		from [][]byte
	}{{&m.Anchors, r.Anchors}, {&m.Intermediates, r.Intermediates}, {&m.MASATrust, r.MASATrust}, {&m.VoucherTrust, r.VoucherTrust}} {
		for _, der := range part.from {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, fmt.Errorf("manufacturer %s: %w", name, err)
			}
			*part.to = append(*part.to, c)
		}
	}
	return m, nil
}

func ders(certs []*x509.Certificate) (list [][]byte) {
	for _, c := range certs {
		list = append(list, c.Raw)
	}
	return list
}
