package registrar

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// SimpleEnroll answers a certificate request with a certificate (RFC 7030
// §4.2.1) for a device that presents its IDevID and has got a voucher here, or
// that presents a certificate of this domain and wants one under another label.
// The same request of the same client within a day gets the same certificate.
// The error is a *decision.Refusal; of kind Pending while the verdict on the
// device's audit log is open.
func (s *Service) SimpleEnroll(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	a := s.attempt("simpleenroll", r)
	answer, err := s.enroll(ctx, a, false)
	return a.finish(ctx, answer, err)
}

// An enrolment is a certificate request on its way.
type enrolment struct {
	domain *domain
	holder *holder // nil when the IDevID was presented
	csr    *est.CSR
	public crypto.PublicKey // in it
	key    digest           // SHA-256 of that
	name   digest           // of client, label and request: what makes it the same again
	san    []byte           // subjectAltName to be certified, nil for none
	// seen is the device as this request found it, nil once it may be another: what
	// is decided by it is decided again before anything is recorded.
	seen *deviceRecord
}

func (s *Service) enroll(ctx context.Context, a *attempt, renew bool) (*exchange.Answer, error) {
	e := &enrolment{}
	var err error
	if e.domain, err = s.domainOf(a.r); err != nil {
		return nil, a.trail.Fail("label", decision.Of(err))
	}
	if e.holder, err = a.enrollee(ctx, renew); err != nil {
		return nil, err
	}
	if err := a.checkMedia(); err != nil {
		return nil, err
	}
	if err := s.permit(ctx, a, e); err != nil {
		return nil, err
	}
	if e.csr, e.public, err = a.readCSR(e.domain); err != nil {
		return nil, err
	}
	e.key = sha256.Sum256(e.csr.PublicKey)
	e.name = answeredName(a, e)
	if renew {
		err = a.checkRenewal(e)
	} else {
		e.san = e.domain.SubjectAltName
		err = a.checkProfile(e.domain, e.csr)
	}
	if err != nil {
		return nil, err
	}
	if e.seen.Voucher.Verdict == "" {
		if err := s.awaitVerdict(ctx, *a.id); err != nil {
			return nil, a.trail.Fail("audit-log", decision.Of(err))
		}
		e.seen = nil
	}
	return s.certify(ctx, a, e)
}

// enrollee finds out who wants a certificate. A renewal needs the one to be
// renewed (RFC 7030 §4.2.2).
func (a *attempt) enrollee(ctx context.Context, renew bool) (*holder, error) {
	leaf, err := a.leaf()
	if err != nil {
		return nil, err
	}
	if a.s.ours(leaf) {
		return a.holds(ctx, leaf)
	}
	if renew {
		return nil, a.trail.Refuse(decision.NotEnrolled, "client-certificate", "the TLS client presented a certificate of %q, not one of this domain; a renewal needs the certificate to be renewed (RFC 7030 section 4.2.2)", leaf.Issuer)
	}
	return nil, a.identifyIDevID()
}

func (a *attempt) checkMedia() error {
	if !artefact.IsMediaType(a.r.ContentType, exchange.TypePKCS10) {
		return a.trail.Refuse(decision.ContentType, "content-type", "Content-Type is %.100q, want %s", a.r.ContentType, exchange.TypePKCS10)
	}
	a.trail.Pass("content-type", "")
	if !artefact.Accepts(a.r.Accept, exchange.TypePKCS7) {
		return a.trail.Refuse(decision.NotAcceptable, "accept", "Accept is %.200q, which does not admit %s", a.r.Accept, exchange.TypePKCS7)
	}
	a.trail.Pass("accept", "")
	return nil
}

// permit looks at the device's state before any work is done for it.
func (s *Service) permit(ctx context.Context, a *attempt, e *enrolment) error {
	var dev deviceRecord
	known := false
	err := s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		dev, known, err = get[deviceRecord](r, deviceKey(prefixDevice, *a.id))
		return err
	})
	if err != nil {
		return err
	}
	if r := a.permits(&dev, known, e.holder); r != nil {
		return a.trail.Fail("authorisation", r)
	}
	a.trail.Pass("authorisation", "voucher of %s", time.Unix(dev.Voucher.At, 0).UTC().Format(time.RFC3339))
	e.seen = &dev
	return nil
}

// answeredName names a certificate request by who made it, where and what it is.
func answeredName(a *attempt, e *enrolment) digest {
	h := sha256.New()
	spki := sha256.Sum256(a.r.Peer[0].RawSubjectPublicKeyInfo)
	csr := sha256.Sum256(e.csr.Raw)
	h.Write(spki[:])
	h.Write(csr[:])
	h.Write([]byte(a.operation + "\x00" + e.domain.Label))
	return digest(h.Sum(nil))
}

// certify signs a certificate and records it. A certificate that could not be
// recorded never leaves: it is dropped.
func (s *Service) certify(ctx context.Context, a *attempt, e *enrolment) (*exchange.Answer, error) {
	if der, err := s.already(ctx, a, e); err != nil || der != nil {
		if err != nil {
			return nil, err
		}
		a.silent = true
		return certificateAnswer(der)
	}
	cert, err := s.sign(a, e)
	if err != nil {
		return nil, err
	}
	var refusal error
	der, fresh := cert.Raw, false
	err = s.cfg.DB.Update(ctx, func(tx state.Tx) (err error) {
		dev, known, err := get[deviceRecord](tx, deviceKey(prefixDevice, *a.id))
		if err != nil {
			return err
		}
		recorded, refused, err := s.recordedCertificate(tx, a, e, &dev, known)
		if refusal = refused; err != nil || refused != nil {
			return err
		}
		if recorded != nil { // by the same request, meanwhile
			der = recorded
			return nil
		}
		fresh = true
		a.trail.Pass("certificate", "%x, until %s", cert.SerialNumber, cert.NotAfter.UTC().Format(time.RFC3339))
		return s.recordCertificate(tx, a, e, &dev, cert)
	})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, refusal
	}
	a.silent = true // recorded with the certificate
	if !fresh {
		return certificateAnswer(der)
	}
	s.issued.add(sha256.Sum256(der))
	s.observe(Event{Name: "certificate", Request: a.r.ID, Device: a.id.String(), Text: a.operation + ": certificate " + hexID(cert.SerialNumber.Bytes())})
	return certificateAnswer(der)
}

// already finds the certificate that the same request got before, and refuses a
// key that cannot be certified before anything is signed.
func (s *Service) already(ctx context.Context, a *attempt, e *enrolment) (der []byte, err error) {
	var refusal error
	err = s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		dev, known := e.seen, true
		if dev == nil {
			dev = &deviceRecord{}
			if *dev, known, err = get[deviceRecord](r, deviceKey(prefixDevice, *a.id)); err != nil {
				return err
			}
		}
		der, refusal, err = s.recordedCertificate(r, a, e, dev, known)
		return err
	})
	if err == nil {
		err = refusal
	}
	return der, err
}

// recordedCertificate makes all checks that need the database: the device once
// more, the same request before, the key, the number of certificates.
func (s *Service) recordedCertificate(r state.Reader, a *attempt, e *enrolment, dev *deviceRecord, known bool) (der []byte, refusal, err error) {
	if refused := a.permits(dev, known, e.holder); refused != nil {
		return nil, a.trail.Fail("authorisation", refused), nil
	}
	if e.holder != nil { // once more: it may have been revoked meanwhile
		refused, err := e.holder.look(r, a.r.Now)
		if err != nil {
			return nil, nil, err
		}
		if refused != nil {
			return nil, a.trail.Fail("client-certificate", refused), nil
		}
	}
	if dev.Voucher.Verdict != Good {
		return nil, a.trail.Refuse(decision.Pending, "audit-log", "there is no verdict on the device's audit log yet").After(pendingRetry), nil
	}
	if der, err = sameAnswer(r, e, a.r.Now); der != nil || err != nil {
		return der, nil, err
	}
	record, found, err := get[keyRecord](r, under(prefixKey, e.key[:]))
	if err != nil {
		return nil, nil, err
	}
	switch {
	case s.cfg.ownKey(e.csr.PublicKey):
		return nil, a.trail.Refuse(decision.KeyReused, "key", "the key of the certificate request is one of this domain's own"), nil
	case found && record.IDevID:
		return nil, a.trail.Refuse(decision.KeyReused, "key", "the key of the certificate request is that of an IDevID; a certificate needs a key of its own"), nil
	case found && record.Compromised:
		return nil, a.trail.Refuse(decision.KeyReused, "key", "a certificate with the key of the certificate request was revoked as compromised"), nil
	case found && !bytes.Equal(record.Device, a.id.AppendKey(nil)):
		return nil, a.trail.Refuse(decision.KeyReused, "key", "the key of the certificate request is another device's"), nil
	}
	if today := a.r.Now.Unix() / 86400; dev.Day == today && dev.Enrolled >= s.cfg.EnrolmentsPerDay {
		return nil, a.trail.Refuse(decision.RateLimited, "quota", "the device got %d certificates today, which is the limit", dev.Enrolled).After(time.Unix((today+1)*86400, 0).Sub(a.r.Now)), nil
	}
	return nil, nil, nil
}

// sameAnswer finds the certificate that a request got before.
func sameAnswer(r state.Reader, e *enrolment, now time.Time) ([]byte, error) {
	answer, found, err := get[answeredRecord](r, under(prefixAnswered, e.name[:]))
	if err != nil || !found || now.Sub(time.Unix(answer.At, 0)) >= answerMemory {
		return nil, err
	}
	record, found, err := get[certificateRecord](r, under(prefixCertificate, answer.Serial))
	if err != nil || !found || record.Revoked != 0 || record.NotAfter <= now.Unix() {
		return nil, err
	}
	return record.DER, nil
}

// sign makes the certificate. The subject is what the device wrote, octet for
// octet; of its extensions nothing is taken over but a name that was granted.
func (s *Service) sign(a *attempt, e *enrolment) (*x509.Certificate, error) {
	cert, err := s.cfg.Authority.LDevID(ca.LDevIDParams{RawSubject: e.csr.Subject, PublicKey: e.public, SubjectAltName: e.san,
		NotBefore: a.r.Now.Add(-backdating), NotAfter: a.r.Now.Add(e.domain.Lifetime), CRLDistributionPoints: e.domain.CRLURLs})
	switch {
	case err == nil:
		return cert, nil
	case errors.Is(err, ca.ErrKey), errors.Is(err, ca.ErrName):
		return nil, a.trail.Refuse(decision.CSRPolicy, "certificate", "%w", err)
	}
	return nil, a.trail.Refuse(decision.Internal, "certificate", "%w", err)
}

// recordCertificate writes down a certificate and everything that follows from
// it.
func (s *Service) recordCertificate(tx state.Tx, a *attempt, e *enrolment, dev *deviceRecord, cert *x509.Certificate) error {
	owner, serial := a.id.AppendKey(nil), cert.SerialNumber.Bytes()
	if today := a.r.Now.Unix() / 86400; dev.Day != today {
		dev.Day, dev.Enrolled = today, 0
	}
	dev.Enrolled++
	dev.LDevIDs = last(append(dev.LDevIDs, serial), maxLDevIDs)
	for _, w := range []struct {
		key    []byte
		record any
	}{
		{deviceKey(prefixDevice, *a.id), dev},
		{under(prefixCertificate, serial), &certificateRecord{Device: owner, Label: e.domain.Label, DER: cert.Raw, IssuedAt: a.r.Now.Unix(), NotAfter: cert.NotAfter.Unix()}},
		{under(prefixKey, e.key[:]), &keyRecord{Device: owner}},
		{under(prefixAnswered, e.name[:]), &answeredRecord{Serial: serial, At: a.r.Now.Unix()}},
	} {
		if err := put(tx, w.key, w.record); err != nil {
			return err
		}
	}
	return addAttempt(tx, *a.id, a.entry(nil))
}
