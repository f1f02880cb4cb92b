package registrar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A holder is a TLS client with a certificate of this domain.
type holder struct {
	id     device.ID
	leaf   *x509.Certificate
	record certificateRecord
}

// holds finds whose certificate of this domain a client presented. The error is
// a *decision.Refusal of kind NotEnrolled, or CertificateGone.
func (a *attempt) holds(ctx context.Context, leaf *x509.Certificate) (*holder, error) {
	h := &holder{leaf: leaf}
	var refusal *decision.Refusal
	err := a.s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		refusal, err = h.look(r, a.r.Now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if h.id != (device.ID{}) {
		a.id = &h.id
	}
	if refusal != nil {
		return nil, a.trail.Fail("client-certificate", refusal)
	}
	a.trail.Pass("client-certificate", "LDevID %x of %s", leaf.SerialNumber, h.id)
	return h, nil
}

// look reads what is on record about the certificate and decides whether it
// counts: as issued here, not revoked, valid, and with a key that is nobody
// else's by now. A key may have several certificates, since renewals may keep it.
func (h *holder) look(r state.Reader, now time.Time) (*decision.Refusal, error) {
	record, found, err := get[certificateRecord](r, serialKey(prefixCertificate, h.leaf.SerialNumber))
	if err != nil {
		return nil, err
	}
	if !found || !bytes.Equal(record.DER, h.leaf.Raw) {
		return decision.Refuse(decision.NotEnrolled, "the certificate of %q was not issued to a device here", h.leaf.Subject), nil
	}
	h.record = record
	if h.id, err = device.ParseKey(record.Device); err != nil {
		return nil, err
	}
	spki := sha256.Sum256(h.leaf.RawSubjectPublicKeyInfo)
	key, _, err := get[keyRecord](r, under(prefixKey, spki[:]))
	if err != nil {
		return nil, err
	}
	gone := func(format string, args ...any) (*decision.Refusal, error) {
		return decision.Refuse(decision.CertificateGone, "certificate %x of device %s %s; the device joins anew with its IDevID", h.leaf.SerialNumber, h.id, fmt.Sprintf(format, args...)), nil
	}
	switch {
	case record.Revoked != 0:
		return gone("was revoked")
	case key.Compromised:
		return gone("has a key for which a certificate was revoked as compromised")
	case now.After(h.leaf.NotAfter) || now.Before(h.leaf.NotBefore):
		return gone("is valid from %s to %s", h.leaf.NotBefore, h.leaf.NotAfter)
	}
	return nil, nil
}

// permits decides whether a device may have a certificate now, but for an open
// verdict: its standing, and a voucher that this registrar answered with for the
// key of its IDevID (RFC 8995 §5.9). h is nil when the IDevID was presented.
func (a *attempt) permits(dev *deviceRecord, known bool, h *holder) *decision.Refusal {
	if !known {
		return decision.Refuse(decision.NoVoucher, "the device never asked for a voucher; it begins with requestvoucher (RFC 8995 section 5.2)")
	}
	m := dev.Voucher
	switch {
	case dev.Standing == Refused:
		return refuseRefused(*a.id)
	case m == nil || !m.Delivered:
		return decision.Refuse(decision.NoVoucher, "the device has got no voucher here; it begins with requestvoucher (RFC 8995 section 5.2)")
	case h == nil && !bytes.Equal(m.Key, a.who.SPKI[:]):
		return decision.Refuse(decision.NoVoucher, "the device's voucher was got with another IDevID key than it has now")
	case m.Verdict == Bad:
		return decision.Refuse(decision.NoVoucher, "the device's audit log forbids it: %s", m.Reason)
	case h == nil:
		trial := *dev
		return a.s.mayJoin(&trial, a.who)
	}
	return nil
}
