package registrar

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/state"
)

// logInOrder is the reason of a good verdict with nothing to remark.
const logInOrder = "the audit log is in order"

func domainID(c *x509.Certificate) []byte { return audit.DomainID(c) }

// A judgement is what was made of an audit log.
type judgement struct {
	verdict Verdict
	reason  string
	head    audit.Head // what it was proven against
	signed  []byte     // the same as a signed note, nil where nothing was proven
}

func (j *judgement) forbid(format string, args ...any) {
	j.verdict, j.reason = Bad, "the audit log forbids it: "+fmt.Sprintf(format, args...)
}

// judgeLog gives the verdict on an audit log that came with or after a voucher
// (RFC 8995 §5.8.3): every event is ours or of a known domain, those of others
// have a nonce, and the voucher just received is among them; where the keys of
// the MASA's log are known, all that is proven. known is nil where they are not.
func (s *Service) judgeLog(log []byte, serial string, mark *voucherMark, known *knownLog) (j judgement, err error) {
	r, err := audit.ParseResponse(log, audit.Limits{})
	if err != nil {
		return j, decision.Refuse(decision.MASAFailed, "the MASA's audit log: %w", err)
	}
	if known != nil {
		if j.head, err = r.VerifyLog(known.verifier, serial); err != nil {
			j.forbid("it is not proven by the keys of manufacturer %s: %v", known.maker, err)
			return j, nil
		}
		j.signed = r.SignedHead()
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
		j.forbid("%s", bad.Text)
		return j, nil
	}
	j.verdict, j.reason = Good, logInOrder
	for _, f := range v.Findings {
		if f.Event < 0 {
			j.reason += "; " + f.Text
			break
		}
	}
	return j, nil
}

// A knownLog is a manufacturer's audit log whose keys are known here.
type knownLog struct {
	maker    string
	verifier *audit.Verifier
	// before is the largest head that was proven before the log was asked for, the
	// zero Head where there is none. An answer is held against it and not against
	// what came meanwhile: answers to two requests overtake each other.
	before audit.Head
}

// knownLog returns the audit log of a manufacturer, nil where it has no keys.
func (s *Service) knownLog(r state.Reader, maker string) (*knownLog, error) {
	l := &knownLog{maker: maker, verifier: s.makers.Load().logs[maker]}
	if l.verifier == nil {
		return nil, nil
	}
	var err error
	l.before, err = l.kept(r)
	return l, err
}

// kept is the largest head that was proven. One that none of today's keys signed
// is that of another log: it counts no more.
func (l *knownLog) kept(r state.Reader) (audit.Head, error) {
	record, found, err := get[headRecord](r, under(prefixHead, []byte(l.maker)))
	if err != nil || !found {
		return audit.Head{}, err
	}
	head, err := l.verifier.VerifyHead(record.Signed)
	if err != nil {
		return audit.Head{}, nil
	}
	return head, nil
}

// keep makes a proven head the one to compare with, if it is the largest. Where
// the log was taken back, or has two faces, the judgement is changed. Errors are
// the database's.
func (l *knownLog) keep(tx state.Tx, j *judgement, now time.Time) error {
	largest, err := l.kept(tx)
	if err != nil {
		return err
	}
	if j.head.Size < l.before.Size {
		j.forbid("it had %d events and has %d now, so it was taken back", l.before.Size, j.head.Size)
		return nil
	}
	for _, other := range []audit.Head{l.before, largest} {
		if other.Size > 0 && other.Size == j.head.Size && other.Root != j.head.Root {
			j.forbid("there are two logs of %d events under one key, with the roots %s and %s", other.Size, other.Root, j.head.Root)
			return nil
		}
	}
	if j.head.Size <= largest.Size {
		return nil
	}
	return put(tx, under(prefixHead, []byte(l.maker)), &headRecord{Signed: j.signed, At: now.Unix()})
}
