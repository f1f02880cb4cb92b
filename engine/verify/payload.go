package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/vouchmill/vouchmill/codec"
)

// Skew is how far the clocks of a MASA and of whoever verifies may be apart.
const Skew = 5 * time.Minute

// An Expectation is what the caller knows of the vouchers beforehand. The zero
// Expectation expects nothing.
type Expectation struct {
	// Serials are the devices that have a voucher: each one, and no other.
	Serials *Serials
	// Pins are certificates of which each voucher pins one: the certificate, its
	// public key or the SHA-256 of that.
	Pins []*x509.Certificate
	// IssuerKeyID is the key identifier in the idevid-issuer that each voucher
	// carries; see [codec.IssuerKeyID].
	IssuerKeyID []byte
}

// A reader reads the payloads of one format and remembers what it found out
// about the last.
type reader struct {
	decoder codec.PayloadDecoder
	voucher codec.Voucher
	sound   bool   // nothing but its serial number can be wrong with it
	keyID   []byte // in its idevid-issuer
}

// read reads the payload of an envelope. It reports whether all of it but the
// serial number is that of a voucher with which nothing was wrong.
func (r *reader) read(e *codec.Envelope, limits codec.Limits) (known bool, err error) {
	r.decoder.Limits = limits
	if e.Format == codec.FormatCOSE {
		err = r.decoder.VoucherCBOR(e.Payload, &r.voucher)
	} else {
		err = r.decoder.VoucherJSON(e.Payload, &r.voucher)
	}
	r.sound = r.sound && err == nil && r.decoder.Repeated()
	return r.sound, err
}

// payload reads what a proven signature is over and checks everything that is
// said there. Where the payload is that of the voucher before but for the serial
// number, and nothing was wrong with it, only what depends on the serial number
// is left to be checked.
func (c *checker) payload(s *subject, it *item, b *batch) {
	r := &c.readers[s.envelope.Format]
	v := &r.voucher
	known, err := r.read(&s.envelope, c.limits)
	if err != nil {
		s.fail(found(CheckPayload, "ask the issuer, who signed this, for a voucher", "%v", err))
		return
	}
	it.serial = b.keep(v.SerialNumber)
	if known {
		it.keyID = b.keep(r.keyID)
		if err := codec.CheckSerial(v.SerialNumber, c.limits.SerialBytes); err != nil {
			s.fail(unruly(err))
			return
		}
		c.entry(s, it, b, v)
		return
	}
	r.keyID = c.issuer(s, v)
	it.keyID = b.keep(r.keyID)
	for _, check := range []func(*subject, *item, *batch, *codec.Voucher){c.rules, c.times, c.entry, c.pin, c.issued} {
		if !s.finding.none() {
			break
		}
		check(s, it, b, v)
	}
	r.sound = s.finding.none()
}

// issuer returns the key identifier in the voucher's idevid-issuer.
func (c *checker) issuer(s *subject, v *codec.Voucher) []byte {
	if len(v.IDevIDIssuer) == 0 {
		return nil
	}
	keyID, err := codec.IssuerKeyID(v.IDevIDIssuer)
	if err != nil {
		s.fail(found(CheckRules, "ask the issuer, who signed this, for a sound voucher", "%v", err))
	}
	return keyID
}

func (c *checker) rules(s *subject, _ *item, _ *batch, v *codec.Voucher) {
	err := v.Validate(codec.Rules{SerialBytes: c.limits.SerialBytes})
	if err == nil && v.PinnedDomainCert != nil {
		err = c.pins.of(v.PinnedDomainCert).check(v)
	}
	if err != nil {
		s.fail(unruly(err))
	}
}

func unruly(err error) finding {
	return found(CheckRules, "ask the issuer, who signed this, for a valid voucher", "%v", err)
}

func (c *checker) times(s *subject, _ *item, _ *batch, v *codec.Voucher) {
	switch {
	case !v.CreatedOn.IsZero() && v.CreatedOn.After(c.at.Add(Skew)):
		s.fail(found(CheckTime, "check the clock, or give the time to check at", "created-on %s is after %s", moment(v.CreatedOn), moment(c.at)))
	case !v.ExpiresOn.IsZero() && v.ExpiresOn.Before(c.at.Add(-Skew)):
		s.fail(found(CheckTime, "issue the device a new voucher", "it expired at %s, before %s", moment(v.ExpiresOn), moment(c.at)))
	}
}

// entry holds what stands beside the voucher against what was signed.
func (c *checker) entry(s *subject, it *item, b *batch, v *codec.Voucher) {
	const remedy = "take the bundle from where it was issued"
	switch {
	case it.format != codec.FormatUnknown && it.format != s.envelope.Format:
		s.fail(found(CheckEntry, remedy, "it is said to be %v and is %v", it.format, s.envelope.Format))
	case it.statedSerial.set() && !bytes.Equal(b.at(it.statedSerial), v.SerialNumber):
		s.fail(found(CheckEntry, remedy, "it stands under serial number %q, the voucher is for %q", b.at(it.statedSerial), v.SerialNumber))
	case it.statedKeyID.set() && it.keyID.set() && !bytes.Equal(b.at(it.statedKeyID), b.at(it.keyID)):
		s.fail(found(CheckEntry, remedy, "it stands under issuer %x, the voucher names %x", b.at(it.statedKeyID), b.at(it.keyID)))
	}
}

func (c *checker) pin(s *subject, _ *item, _ *batch, v *codec.Voucher) {
	if len(c.expect.Pins) == 0 {
		return
	}
	for _, want := range c.expect.Pins {
		if c.pinned(want, v) {
			return
		}
	}
	s.fail(found(CheckPin, "find out which domain the device was sold to", "it pins %s, not %q", c.pins.describe(v), c.expect.Pins[0].Subject))
}

// pinned reports whether every pin of v is of the certificate wanted.
func (c *checker) pinned(want *x509.Certificate, v *codec.Voucher) bool {
	if v.PinnedDomainCert != nil && !bytes.Equal(v.PinnedDomainCert, want.Raw) {
		return false
	}
	if v.PinnedDomainPubk != nil && !bytes.Equal(v.PinnedDomainPubk, want.RawSubjectPublicKeyInfo) {
		return false
	}
	if v.PinnedDomainPubkSHA256 != nil {
		sum := sha256.Sum256(want.RawSubjectPublicKeyInfo)
		return bytes.Equal(v.PinnedDomainPubkSHA256, sum[:])
	}
	return true
}

func (c *checker) issued(s *subject, it *item, b *batch, _ *codec.Voucher) {
	want := c.expect.IssuerKeyID
	switch {
	case want == nil || it.keyID.set() && bytes.Equal(b.at(it.keyID), want):
	case !it.keyID.set():
		s.fail(found(CheckIssuer, "issue vouchers that carry idevid-issuer, or do not ask for it", "it carries no idevid-issuer; expected is that of key identifier %x", want))
	default:
		s.fail(found(CheckIssuer, "check which devices the list is about", "it is for devices of the issuer with key identifier %x, not %x", b.at(it.keyID), want))
	}
}
