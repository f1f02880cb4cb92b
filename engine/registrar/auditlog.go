package registrar

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// logInOrder is the reason of a good verdict with nothing to remark.
const logInOrder = "the audit log is in order"

func domainID(c *x509.Certificate) []byte { return audit.DomainID(c) }

// judgeLog gives the verdict on an audit log that came with or after a voucher
// (RFC 8995 §5.8.3): every event is ours or of a known domain, those of others
// have a nonce, and the voucher just received is among them.
func (s *Service) judgeLog(log []byte, mark *voucherMark) (Verdict, string, error) {
	r, err := audit.ParseResponse(log, audit.Limits{})
	if err != nil {
		return "", "", decision.Refuse(decision.MASAFailed, "the MASA's audit log: %w", err)
	}
	// A domain has a certificate for each of its registrars and a CA, and MASAs
	// differ in which they take: all of ours are one here.
	for i := range r.Events {
		if slices.ContainsFunc(s.cfg.ownCertificates(), func(c *x509.Certificate) bool { return audit.DomainIDMatches(c, r.Events[i].DomainID) }) {
			r.Events[i].DomainID = mark.Domain
		}
	}
	nonce := string(mark.Nonce)
	v := audit.Judge(r, audit.Policy{Ours: [][]byte{mark.Domain}, Known: s.cfg.KnownDomains, Voucher: &audit.Voucher{DomainID: mark.Domain, Nonce: &nonce}})
	if bad := v.FirstBad(); bad != nil {
		return Bad, fmt.Sprintf("the audit log forbids it: %s", bad.Text), nil
	}
	for _, f := range v.Findings {
		if f.Event < 0 {
			return Good, logInOrder + "; " + f.Text, nil
		}
	}
	return Good, logInOrder, nil
}
