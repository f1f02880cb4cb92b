package registrar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// CRL answers with the domain's revocation list (RFC 5280 §5), DER. It is made
// again once something was revoked or half of its time has passed, so whoever
// fetches it gets one that is good for a while; its number only grows. It needs no
// client certificate. The error is a *decision.Refusal.
func (s *Service) CRL(ctx context.Context, r *exchange.Request) (*exchange.Answer, error) {
	der, err := s.RevocationList(ctx, r.Now)
	if err != nil {
		return nil, stored(err)
	}
	return answered(exchange.TypeCRL, der), nil
}

// RevocationList returns the revocation list as CRL does, for a program that
// writes it to a file.
func (s *Service) RevocationList(ctx context.Context, now time.Time) ([]byte, error) {
	s.crlMu.Lock()
	defer s.crlMu.Unlock()
	var list crlRecord
	var entries []ca.Revoked
	err := s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		if list, _, err = get[crlRecord](r, keyCRL); err != nil || list.fresh(now, s.cfg.CRLLifetime) {
			return err
		}
		entries, err = s.revoked(r, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if list.fresh(now, s.cfg.CRLLifetime) {
		return list.DER, nil
	}
	next := list
	next.Number++
	next.ThisUpdate, next.NextUpdate, next.Listed = now.Unix(), now.Add(s.cfg.CRLLifetime).Unix(), list.Revision
	if next.DER, err = s.cfg.Authority.RevocationList(entries, new(big.Int).SetUint64(next.Number), now, now.Add(s.cfg.CRLLifetime)); err != nil {
		return nil, err
	}
	err = s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		current, _, err := get[crlRecord](tx, keyCRL)
		if err != nil {
			return err
		}
		next.Revision = current.Revision // revocations since the entries were read are listed next time
		return put(tx, keyCRL, &next)
	})
	if err != nil {
		return nil, err
	}
	return next.DER, nil
}

func (l *crlRecord) fresh(now time.Time, lifetime time.Duration) bool {
	made := time.Unix(l.ThisUpdate, 0)
	return l.DER != nil && l.Listed == l.Revision && !now.Before(made) && now.Sub(made) < lifetime/2
}

// maxRevoked bounds a revocation list.
const maxRevoked = 100_000

// revoked lists the revoked certificates that have not been expired for longer
// than a list lives: each is on one list after its end (RFC 5280 §3.3).
func (s *Service) revoked(r state.Reader, now time.Time) (entries []ca.Revoked, err error) {
	err = r.Scan(prefixRevoked, nil, func(key, _ []byte) error {
		serial := key[len(prefixRevoked):]
		record, found, err := get[certificateRecord](r, under(prefixCertificate, serial))
		if err != nil || !found || time.Unix(record.NotAfter, 0).Add(2*s.cfg.CRLLifetime).Before(now) {
			return err
		}
		if len(entries) == maxRevoked {
			return fmt.Errorf("registrar: more than %d certificates are revoked", maxRevoked)
		}
		entries = append(entries, ca.Revoked{Serial: new(big.Int).SetBytes(serial), At: time.Unix(min(record.Revoked, now.Unix()), 0), Reason: ca.Reason(record.Reason)})
		return nil
	})
	return entries, err
}

// ErrNoCertificate is a serial number of no certificate issued here.
var ErrNoCertificate = errors.New("registrar: no certificate with this serial number was issued here")

// Revoke revokes a certificate, which is then renewed no more and listed from the
// next revocation list on. Revoking again changes nothing.
func (s *Service) Revoke(ctx context.Context, serial *big.Int, reason ca.Reason) error {
	now := s.cfg.Clock()
	switch reason {
	case ca.Unspecified, ca.KeyCompromise, ca.AffiliationChanged, ca.Superseded, ca.CessationOfOperation, ca.PrivilegeWithdrawn:
	default:
		return fmt.Errorf("registrar: reason %d is not one to revoke a device's certificate for (RFC 5280 section 5.3.1)", reason)
	}
	if serial == nil || serial.Sign() <= 0 {
		return ErrNoCertificate
	}
	err := s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		record, found, err := get[certificateRecord](tx, serialKey(prefixCertificate, serial))
		if err != nil {
			return err
		}
		if !found {
			return ErrNoCertificate
		}
		return revoke(tx, serial.Bytes(), &record, reason, now)
	})
	if err == nil {
		s.observe(Event{Name: "revoked", Text: "certificate " + hexID(serial.Bytes()) + " was revoked"})
	}
	return err
}

func revoke(tx state.Tx, serial []byte, record *certificateRecord, reason ca.Reason, now time.Time) error {
	if record.Revoked != 0 {
		return nil
	}
	record.Revoked, record.Reason = now.Unix(), int(reason)
	if err := put(tx, under(prefixCertificate, serial), record); err != nil {
		return err
	}
	if err := tx.Set(under(prefixRevoked, bytes.Clone(serial)), []byte{recordVersion}); err != nil {
		return err
	}
	if reason == ca.KeyCompromise {
		if err := compromise(tx, record); err != nil {
			return err
		}
	}
	list, _, err := get[crlRecord](tx, keyCRL)
	if err != nil {
		return err
	}
	list.Revision++
	return put(tx, keyCRL, &list)
}
