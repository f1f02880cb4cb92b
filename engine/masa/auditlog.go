package masa

import (
	"context"
	"errors"
	"slices"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/state"
)

// auditLog is the order of work for requestauditlog. The request may be as old
// as the registrar likes: what it gets changes nothing, and a former owner may
// ask too.
func (a *attempt) auditLog(ctx context.Context) (*exchange.Answer, error) {
	if err := a.accept(); err != nil {
		return nil, err
	}
	var answer *exchange.Answer
	err := a.s.cfg.DB.View(ctx, func(r state.Reader) (err error) {
		if a.dir, err = a.s.directory(r); err != nil {
			return err
		}
		checks := []func() error{
			func() error { return a.open(ctx) },
			func() error { return a.identify(ctx) },
			a.checkLeaves,
			func() error { return a.findCandidates(r) },
			func() error { return a.openPrior(ctx) },
			func() error { return a.chooseDevice(r) },
			a.checkCustomers,
		}
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		runs, err := a.checkFormerOwner(r)
		if err != nil {
			return err
		}
		answer, err = a.readLog(r, runs)
		return err
	})
	return answer, err
}

// checkFormerOwner makes sure that the requester is or has been an owner of the
// device, and returns the runs that hold it. What counts is that a voucher
// pinned a key on the signer's path: the domainID of a log may be the subject
// key identifier, which anybody can write into a certificate of their own.
func (a *attempt) checkFormerOwner(r state.Reader) (runs []audit.RunRef, err error) {
	runs, pins, err := a.holding()
	if err != nil {
		return nil, asUnavailable(err)
	}
	for _, key := range a.who.keys {
		given, err := has(r, ownerKey(a.device.id, key[:]))
		if err != nil {
			return nil, err
		}
		if given || slices.Contains(pins, key) {
			a.trail.Pass("former-owner", "a voucher pins a certificate on the signer's path")
			return runs, nil
		}
	}
	owners, err := a.owners(r)
	if err != nil {
		return nil, err
	}
	for _, m := range a.authenticated() {
		if slices.Contains(owners, m.Name) {
			a.trail.Pass("former-owner", "customer %s", m.Name)
			return runs, nil
		}
	}
	return nil, a.trail.Refuse(decision.NeverOwner, "former-owner", "no voucher for %v pins a certificate on the path of %q, and no customer it belongs to has owned it", a.device.id, a.request.Signer.Subject)
}

// owners returns the customers that own the device or did.
func (a *attempt) owners(r state.Reader) ([]string, error) {
	names := []string{a.device.policy.owner}
	err := r.Scan(hashed(keyHistory, a.device.id), nil, func(key, value []byte) error {
		var record ownershipRecord
		err := decode(key, value, &record)
		names = append(names, record.Customer)
		return err
	})
	return slices.DeleteFunc(names, func(name string) bool { return name == "" }), err
}

// readLog answers with the device's events, each with its proof.
func (a *attempt) readLog(r state.Reader, runs []audit.RunRef) (*exchange.Answer, error) {
	body, err := a.s.cfg.Log.AppendResponse(nil, r, audit.ResponseParams{Device: a.device.id, Runs: runs})
	switch {
	case errors.Is(err, audit.ErrNoEvents):
		return nil, a.trail.Refuse(decision.NeverOwner, "events", "no voucher was ever issued for %v", a.device.id)
	case err != nil:
		return nil, err
	case len(body) > exchange.MaxAuditLog:
		return nil, a.trail.Refuse(decision.Internal, "events", "the log of %v has %d octets, more than the %d that a registrar reads", a.device.id, len(body), exchange.MaxAuditLog)
	}
	a.trail.Pass("events", "%d octets", len(body))
	return &exchange.Answer{ContentType: exchange.TypeJSON, Body: body}, nil
}
