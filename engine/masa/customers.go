package masa

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

// A Customer is somebody who buys devices and runs a domain.
type Customer struct {
	// Name is 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a letter or
	// digit.
	Name string
	// Anchors are the CAs that its registrars' certificates lead to, at least
	// one.
	Anchors []*x509.Certificate
	// ClientCerts, where there are any, are what its TLS client certificate must
	// be, or be issued by, for the customer to be known as itself.
	ClientCerts []*x509.Certificate
	// Nonceless allows it vouchers without nonce.
	Nonceless bool
	// MaxLifetime bounds those; 0 stands for Config.NoncelessLifetime. It counts
	// in whole seconds.
	MaxLifetime time.Duration
	// Blocked refuses every request of it, for BlockReason. AddCustomer takes
	// neither.
	Blocked     bool
	BlockReason string
	// Created is when it was added; AddCustomer does not take it.
	Created time.Time
}

// An ExistsError is something of a name that is taken.
type ExistsError struct{ What, Name string }

// Error names it.
func (e *ExistsError) Error() string { return fmt.Sprintf("%s %s exists already", e.What, e.Name) }

// A NotFoundError is a name that nothing has.
type NotFoundError struct{ What, Name string }

// Error says how to find the right name.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no %s %q; list them to see their names", e.What, e.Name)
}

// A UsageError is a request of an operator that makes no sense as it is.
type UsageError struct{ Reason string }

// Error gives the reason.
func (e *UsageError) Error() string { return e.Reason }

func usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Limits of the certificates of one customer, and of what an operator writes.
const (
	maxAnchors = 16
	maxReason  = 256
)

// AddCustomer adds a customer. The error is a *UsageError, an *ExistsError, or
// the database's.
func (s *Service) AddCustomer(ctx context.Context, c Customer, now time.Time) error {
	if err := c.check(); err != nil {
		return err
	}
	record := &customerRecord{Nonceless: c.Nonceless, MaxLifetime: int64(c.MaxLifetime / time.Second), Created: now.Unix(), Anchors: ders(c.Anchors), ClientCerts: ders(c.ClientCerts)}
	return s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		key := []byte(keyCustomer + c.Name)
		if found, err := has(tx, key); err != nil || found {
			return errors.Join(err, existsIf(found, "customer", c.Name))
		}
		if err := tx.Set(key, encode(record)); err != nil {
			return err
		}
		return changed(tx)
	})
}

func existsIf(found bool, what, name string) error {
	if !found {
		return nil
	}
	return &ExistsError{what, name}
}

func ders(certs []*x509.Certificate) [][]byte {
	var list [][]byte
	for _, c := range certs {
		list = append(list, c.Raw)
	}
	return list
}

func (c *Customer) check() error {
	if err := checkName("customer", c.Name); err != nil {
		return err
	}
	switch {
	case len(c.Anchors) == 0 || len(c.Anchors) > maxAnchors:
		return usage("customer %s has %d certificate authorities, want 1 to %d", c.Name, len(c.Anchors), maxAnchors)
	case len(c.ClientCerts) > maxAnchors:
		return usage("customer %s has %d TLS client certificates, at most %d are kept", c.Name, len(c.ClientCerts), maxAnchors)
	case c.MaxLifetime < 0 || c.MaxLifetime > 0 && c.MaxLifetime < time.Second:
		return usage("customer %s: a lifetime of %v is none; give a second at least, or 0 for what is configured for all", c.Name, c.MaxLifetime)
	}
	for _, a := range c.Anchors {
		if !a.BasicConstraintsValid || !a.IsCA {
			return usage("customer %s: %q is not a certificate authority; give the CA that issues its registrars' certificates", c.Name, a.Subject)
		}
	}
	return nil
}

// nameForm is what file systems, keys and terminals agree on.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkName(what, name string) error {
	if !nameForm.MatchString(name) {
		return usage("%q is no name for a %s: want 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit", name, what)
	}
	return nil
}

// ListCustomers returns at most n customers in the order of their names, those
// behind the name after.
func (s *Service) ListCustomers(ctx context.Context, after string, n int) ([]Customer, error) {
	var list []Customer
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		return r.Scan([]byte(keyCustomer), behind(keyCustomer, after), func(key, value []byte) error {
			if len(list) >= n {
				return state.ErrStop
			}
			var record customerRecord
			if err := decode(key, value, &record); err != nil {
				return err
			}
			c, err := record.parse(string(key[len(keyCustomer):]))
			if err != nil {
				return &RecordError{slices.Clone(key), err}
			}
			list = append(list, Customer{Name: c.Name, Anchors: c.Anchors, ClientCerts: c.ClientCerts, Nonceless: c.Nonceless,
				MaxLifetime: c.MaxLifetime, Blocked: c.Blocked, BlockReason: c.BlockReason, Created: instant(record.Created)})
			return nil
		})
	})
	return list, err
}

// behind is the key that a page of a listing begins behind, nil for the first.
func behind(prefix, after string) []byte {
	if after == "" {
		return nil
	}
	return []byte(prefix + after)
}

// BlockCustomer refuses every further request of a customer. The error is a
// *NotFoundError, a *UsageError, or the database's.
func (s *Service) BlockCustomer(ctx context.Context, name, reason string) error {
	if len(reason) > maxReason {
		return usage("the reason has %d octets, at most %d are kept", len(reason), maxReason)
	}
	return s.changeCustomer(ctx, name, func(c *customerRecord) { c.Blocked, c.BlockReason = true, strings.ToValidUTF8(reason, "") })
}

// UnblockCustomer undoes BlockCustomer.
func (s *Service) UnblockCustomer(ctx context.Context, name string) error {
	return s.changeCustomer(ctx, name, func(c *customerRecord) { c.Blocked, c.BlockReason = false, "" })
}

func (s *Service) changeCustomer(ctx context.Context, name string, change func(*customerRecord)) error {
	return s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		key := []byte(keyCustomer + name)
		var record customerRecord
		found, err := loadIfAny(tx, key, &record)
		if err != nil {
			return err
		}
		if !found {
			return &NotFoundError{"customer", name}
		}
		change(&record)
		if err := tx.Set(key, encode(&record)); err != nil {
			return err
		}
		return changed(tx)
	})
}

// A Pool is a name that devices have in common, and what holds for all of them:
// serial numbers of the past, of which no more is known, are imported into one.
type Pool struct {
	// Name is as that of a customer.
	Name string
	// Exclusive refuses all but the owner. Owner is a customer, "" for none; a
	// device's own owner counts before it.
	Exclusive bool
	Owner     string
	// LoggedOnMismatch gives "logged" where a device's own request does not show
	// that it saw the registrar that asks, instead of refusing.
	LoggedOnMismatch bool
}

// SetPool makes a pool or changes one. The error is a *UsageError, a
// *NotFoundError for the owner, or the database's.
func (s *Service) SetPool(ctx context.Context, p Pool) error {
	if err := checkName("pool", p.Name); err != nil {
		return err
	}
	return s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		if err := needCustomer(tx, p.Owner); err != nil {
			return err
		}
		record := &poolRecord{Exclusive: p.Exclusive, Owner: p.Owner, LoggedOnMismatch: p.LoggedOnMismatch}
		if err := tx.Set([]byte(keyPool+p.Name), encode(record)); err != nil {
			return err
		}
		return changed(tx)
	})
}

// ListPools returns at most n pools in the order of their names, those behind
// the name after.
func (s *Service) ListPools(ctx context.Context, after string, n int) ([]Pool, error) {
	var list []Pool
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		return r.Scan([]byte(keyPool), behind(keyPool, after), func(key, value []byte) error {
			if len(list) >= n {
				return state.ErrStop
			}
			var record poolRecord
			err := decode(key, value, &record)
			list = append(list, Pool{string(key[len(keyPool):]), record.Exclusive, record.Owner, record.LoggedOnMismatch})
			return err
		})
	})
	return list, err
}

// needCustomer makes sure that a customer exists; "" is none.
func needCustomer(r state.Reader, name string) error {
	if name == "" {
		return nil
	}
	found, err := has(r, []byte(keyCustomer+name))
	if err == nil && !found {
		err = &NotFoundError{"customer", name}
	}
	return err
}

// needPool makes sure that a pool exists; "" is none.
func needPool(r state.Reader, name string) error {
	if name == "" {
		return nil
	}
	found, err := has(r, []byte(keyPool+name))
	if err == nil && !found {
		err = &NotFoundError{"pool", name}
	}
	return err
}
