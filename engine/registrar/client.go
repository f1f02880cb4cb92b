package registrar

import (
	"bytes"
	"context"
	"crypto/x509"

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
	found := false
	err := a.s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		h.record, found, err = get[certificateRecord](r, serialKey(prefixCertificate, leaf.SerialNumber))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found || !bytes.Equal(h.record.DER, leaf.Raw) {
		return nil, a.trail.Refuse(decision.NotEnrolled, "client-certificate", "the certificate of %q was not issued to a device here", leaf.Subject)
	}
	if h.id, err = device.ParseKey(h.record.Device); err != nil {
		return nil, err
	}
	a.id = &h.id
	switch {
	case h.record.Revoked != 0:
		return nil, a.trail.Refuse(decision.CertificateGone, "client-certificate", "certificate %x of device %s was revoked; the device joins anew with its IDevID", leaf.SerialNumber, h.id)
	case a.r.Now.After(leaf.NotAfter) || a.r.Now.Before(leaf.NotBefore):
		return nil, a.trail.Refuse(decision.CertificateGone, "client-certificate", "certificate %x of device %s is valid from %s to %s; the device joins anew with its IDevID", leaf.SerialNumber, h.id, leaf.NotBefore, leaf.NotAfter)
	}
	a.trail.Pass("client-certificate", "LDevID %x of %s", leaf.SerialNumber, h.id)
	return h, nil
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
