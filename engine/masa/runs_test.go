package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/internal/fixture"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// A factory is a world whose voucher signer issues runs too.
type factory struct {
	*world
	pki    *fixture.PKI
	source *store.Store
	runs   string // the folder of the MASA's own
}

func newFactory(t *testing.T) *factory {
	t.Helper()
	f := &factory{pki: fixture.NewPKI(t, sign.ES256), source: fixture.Store(t), runs: filepath.Join(t.TempDir(), "runs")}
	f.world = newWorld(t, func(c *masa.Config) {
		c.Signer, c.Chain = artefact.Signing(f.pki.Signer), f.pki.Chain
		c.Runs = fixture.StoreAt(t, f.runs)
	})
	f.voucherCA = &entity{cert: f.pki.CA}
	return f
}

// issue issues a run for serial numbers, pinned to the world's domain CA.
func (f *factory) issue(t *testing.T, name string, change func(*run.Header), serials ...string) {
	t.Helper()
	h := f.pki.Header("cms")
	h.Name, h.Pins = name, []run.Pin{{Cert: f.domain.cert.Raw}}
	if change != nil {
		change(&h)
	}
	var csv strings.Builder
	csv.WriteString("serial-number,idevid-issuer\n")
	for _, s := range serials {
		fmt.Fprintf(&csv, "%s,%x\n", s, []byte(f.id(0).IssuerKeyID))
	}
	f.pki.Issue(t, f.source, h, csv.String())
}

func (f *factory) importRun(name string) (*masa.Run, error) {
	return f.masa.ImportRun(context.Background(), f.source, name, masa.RunOptions{Now: f.now})
}

// stored is the voucher of a run as it was issued.
func (f *factory) stored(t *testing.T, name, serial string) []byte {
	t.Helper()
	reader := fixture.Reader(t, f.source, name)
	for found, err := range reader.Find([]byte(serial)) {
		must(t, err)
		body, err := reader.Voucher(found)
		must(t, err)
		return body
	}
	t.Fatalf("run %s has nothing for %s", name, serial)
	return nil
}

func TestVouchersOfARunAreServedToTheOwner(t *testing.T) {
	f := newFactory(t)
	f.issue(t, "lot-1", nil, "SN-1", "SN-2")
	f.acme(nil)
	before := f.join(0).nonceless()
	if v := f.voucher(before.exchange()); !v.Leaves.CreatedOn.Equal(epoch) {
		t.Fatal("a voucher of a run that was not imported yet")
	}
	imported, err := f.importRun("lot-1")
	must(t, err)
	if imported.Vouchers != 2 || imported.Format != codec.FormatCMS || !imported.ExpiresOn.Equal(fixture.Epoch.AddDate(1, 0, 0)) {
		t.Errorf("imported %+v", imported)
	}
	f.now = epoch.Add(time.Minute)
	r := f.join(0).nonceless().exchange()
	answer := f.send(r)
	if !bytes.Equal(answer.Body, f.stored(t, "lot-1", "SN-1")) {
		t.Error("what was served is not what was issued")
	}
	if last := f.attempts[len(f.attempts)-1]; last.Preissued != "lot-1" {
		t.Errorf("the attempt is %+v", last)
	}
	f.restart()
	if !bytes.Equal(f.send(r).Body, answer.Body) {
		t.Error("another answer after a restart")
	}

	// The log: the voucher made first, and the run's one event.
	response := f.asks(r)
	if len(response.Events) != 2 || response.Events[1].Nonce != nil {
		t.Errorf("events are %+v", response.Events)
	}
	verifier, err := audit.NewVerifier(f.cfg.Log.Signer().VerifierKey())
	must(t, err)
	if _, err := response.VerifyLog(verifier, "SN-1"); err != nil {
		t.Error(err)
	}
	if n := f.events(0); n != 1 {
		t.Errorf("the device has %d events of its own, want 1", n)
	}

	// With a nonce it is never the voucher of a run.
	if v := f.join(0).voucher(); v.Leaves.Nonce == nil || v.Leaves.Assertion != codec.AssertionVerified {
		t.Errorf("voucher is %+v", v.Leaves)
	}
	// Nor in another format, nor for whom it does not pin.
	jws := f.join(0).nonceless()
	jws.accept = codec.FormatJWS.MediaType()
	if v := jws.voucher(); !v.Leaves.CreatedOn.Equal(f.now) {
		t.Error("a CMS voucher answered a request for JWS")
	}
	// Nor when it has expired, nor for a device that was blocked since.
	f.now = fixture.Epoch.AddDate(1, 0, 1)
	if v := f.join(0).nonceless().voucher(); !v.Leaves.CreatedOn.Equal(f.now) {
		t.Error("an expired voucher was served")
	}
	f.now = epoch.Add(time.Hour)
	_, err = f.masa.Block(context.Background(), "SN-1", "")
	must(t, err)
	f.refused(f.join(0).nonceless().exchange(), decision.DeviceRefused)
	// SN-2 is nobody's.
	f.refused(f.join(1).nonceless().exchange(), decision.NoncelessForbidden)

	runs, err := f.masa.ListRuns(context.Background(), "", 10)
	if err != nil || len(runs) != 1 || runs[0] != *imported {
		t.Errorf("runs are %+v, %v", runs, err)
	}
	var exists *masa.ExistsError
	if _, err := f.importRun("lot-1"); !errors.As(err, &exists) {
		t.Errorf("imported again: %v", err)
	}
}

// TestARunOfAnotherDomainIsNotServed though the customer owns the device: its
// voucher pins somebody else.
func TestARunOfAnotherDomainIsNotServed(t *testing.T) {
	f := newFactory(t)
	other := newEntity(t, "Other CA", nil, asCA)
	f.issue(t, "lot-1", func(h *run.Header) { h.Pins = []run.Pin{{Cert: other.cert.Raw}} }, "SN-1")
	_, err := f.importRun("lot-1") // nobody owns the device yet
	must(t, err)
	f.acme(nil)
	if v := f.join(0).nonceless().voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, f.domain.cert.Raw) || !v.Leaves.CreatedOn.Equal(epoch) {
		t.Error("a voucher pinned to another domain was served")
	}
}

// TestARunThatPinsARegistrarIsNotServed: without nonce only a CA is pinned.
func TestARunThatPinsARegistrarIsNotServed(t *testing.T) {
	f := newFactory(t)
	f.issue(t, "lot-1", func(h *run.Header) { h.Pins = []run.Pin{{Cert: f.registrar.cert.Raw}} }, "SN-1")
	f.acme(nil)
	_, err := f.importRun("lot-1")
	must(t, err)
	if v := f.join(0).nonceless().voucher(); !bytes.Equal(v.Leaves.PinnedDomainCert, f.domain.cert.Raw) {
		t.Error("a voucher that pins a registrar was served")
	}
}

func TestRunsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, f *factory)
		reason string // in the first problem, or of the whole
	}{
		{"unknown device", func(t *testing.T, f *factory) { f.issue(t, "lot-1", nil, "SN-1", "SN-8", "SN-9") }, "no device"},
		{"blocked device", func(t *testing.T, f *factory) {
			f.issue(t, "lot-1", nil, "SN-1", "SN-2")
			_, err := f.masa.Block(context.Background(), "SN-2", "stolen")
			must(t, err)
		}, "stolen"},
		{"owned by another", func(t *testing.T, f *factory) {
			f.issue(t, "lot-1", nil, "SN-1", "SN-2")
			f.customer(masa.Customer{Name: "other", Anchors: []*x509.Certificate{newEntity(t, "Other CA", nil, asCA).cert}})
			f.own("other", "SN-2")
		}, "customer other owns it"},
		{"another signer", func(t *testing.T, f *factory) {
			ours := f.pki
			f.pki = fixture.NewPKI(t, sign.ES256)
			f.issue(t, "lot-1", nil, "SN-1")
			f.pki = ours
		}, "chain"},
		{"COSE", func(t *testing.T, f *factory) { f.issue(t, "lot-1", func(h *run.Header) { h.Format = "cose" }, "SN-1") }, "COSE"},
		{"unfinished", func(t *testing.T, f *factory) {
			h := f.pki.Header("cms")
			h.Name = "lot-1"
			f.pki.IssuePart(t, f.source, h, fixture.Serials(5000))
		}, "unfinished"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFactory(t)
			c.before(t, f)
			_, err := f.importRun("lot-1")
			var refused *masa.RunRefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("got %v, want a refusal because of %q", err, c.reason)
			}
			if infos, err := f.cfg.Runs.Runs(); err != nil || len(infos) != 0 {
				t.Errorf("left in the store is %v, %v", infos, err)
			}
			if c.name == "unknown device" && (refused.Count != 2 || len(refused.Problems) != 2) {
				t.Errorf("the list is %+v", refused)
			}
		})
	}
}

// TestACrashWhileARunIsImported leaves nothing that is served, or all of it.
func TestACrashWhileARunIsImported(t *testing.T) {
	for _, c := range []struct {
		commit int
		fault  state.Fault
	}{{0, state.CrashBefore}, {0, state.CrashAfter}, {1, state.CrashBefore}, {1, state.CrashAfter}} {
		fault, commits := c.fault, 0
		f := newFactory(t)
		f.issue(t, "lot-1", nil, "SN-1")
		f.acme(nil)
		f.db.OnCommit(func(uint64) state.Fault {
			if commits++; commits-1 == c.commit {
				return fault
			}
			return state.NoFault
		})
		if _, err := f.importRun("lot-1"); err == nil {
			t.Fatal("a crash was not noticed")
		}
		f.restart()
		infos, err := f.cfg.Runs.Runs()
		must(t, err)
		runs, err := f.masa.ListRuns(context.Background(), "", 10)
		must(t, err)
		want := 0
		if c.commit == 1 && fault == state.CrashAfter { // the last one
			want = 1
		}
		if len(infos) != want || len(runs) != want {
			t.Errorf("after fault %v there are %d runs in the store and %d on record, want %d", fault, len(infos), len(runs), want)
		}
		if want == 0 {
			_, err := f.importRun("lot-1")
			must(t, err)
		}
		if answer := f.send(f.join(0).nonceless().exchange()); !bytes.Equal(answer.Body, f.stored(t, "lot-1", "SN-1")) {
			t.Error("what was served is not what was issued")
		}
	}
}

// TestAVoucherWithoutIssuerIsInTheLogOfEachDeviceOfTheSerialNumber: each of them
// takes it, also one that was put on record after the run.
func TestAVoucherWithoutIssuerIsInTheLogOfEachDeviceOfTheSerialNumber(t *testing.T) {
	f := newFactory(t)
	f.acme(nil)
	h := f.pki.Header("cms")
	h.Name, h.Pins = "lot-1", []run.Pin{{Cert: f.domain.cert.Raw}}
	f.pki.Issue(t, f.source, h, "serial-number\nSN-1\n")
	_, err := f.importRun("lot-1")
	must(t, err)
	second := newEntity(t, "Second Maker CA", nil, asCA)
	f.cfg.Manufacturers = append(f.cfg.Manufacturers, device.Manufacturer{Name: "second", Anchors: []*x509.Certificate{second.cert}})
	f.start()
	f.devices = append(f.devices, newEntity(t, "Device", second, asDevice("SN-1")))
	f.importDevices(masa.ImportOptions{}, f.devices[3])

	r := f.join(0).nonceless().exchange()
	if v := f.voucher(r); v.Leaves.IDevIDIssuer == nil {
		t.Error("a voucher that fits two devices was served")
	}
	if n := len(f.asks(r).Events); n != 2 {
		t.Errorf("the log of the device has %d events, want its own and that of the run", n)
	}
	if n := len(f.asks(f.join(3).exchange()).Events); n != 1 {
		t.Errorf("the log of the other has %d events, want that of the run", n)
	}
}
