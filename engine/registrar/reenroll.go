package registrar

import (
	"bytes"
	"context"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// SimpleReenroll renews a certificate of this domain (RFC 7030 §4.2.2): the TLS
// client presents it, neither expired nor revoked; subject and subjectAltName
// stay what they are; the key may be the same or another. The error is a
// *decision.Refusal.
func (s *Service) SimpleReenroll(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	a := s.attempt("simplereenroll", r)
	answer, err := s.enroll(ctx, a, true)
	return a.finish(ctx, answer, err)
}

// checkRenewal compares a request with the certificate to be renewed. Subjects
// are compared by types and values, whatever string type holds them: libraries
// re-encode strings.
func (a *attempt) checkRenewal(e *enrolment) error {
	if e.holder.record.Label != e.domain.Label {
		return a.trail.Refuse(decision.CSRPolicy, "label", "the certificate was issued under label %q and is renewed there, not under %q", e.holder.record.Label, e.domain.Label)
	}
	same, err := est.SameName(e.csr.Subject, e.holder.leaf.RawSubject)
	if err != nil || !same {
		return a.trail.Refuse(decision.SubjectChanged, "subject", "the certificate request has another subject than the certificate of %q (RFC 7030 section 4.2.2)", e.holder.leaf.Subject)
	}
	a.trail.Pass("subject", "%q", e.holder.leaf.Subject)
	var asked []byte
	if x := e.csr.Extension(est.OIDSubjectAltName); x != nil {
		asked = x.Value
	}
	if e.san = sanOf(e.holder.leaf); !bytes.Equal(asked, e.san) {
		return a.trail.Refuse(decision.SubjectChanged, "subject-alt-name", "the certificate request has another subjectAltName than the certificate (RFC 7030 section 4.2.2)")
	}
	if err := checkExtensions(e.csr, e.san != nil); err != nil {
		return a.trail.Refuse(decision.CSRPolicy, "profile", "%w", err)
	}
	return nil
}
