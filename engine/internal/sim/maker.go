package sim

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
)

// host is what IDevIDs say of the MASA.
const host = "masa.example.com:9443"

// The owner of exclusive devices is the customer of this name, the first domain.
const owner = "acme"

// A maker is the manufacturer with its MASA.
type maker struct {
	w        *World
	idevids  *ca.Authority
	vouchers *ca.Authority
	db       *state.Memory
	cfg      masa.Config
	service  *masa.Service
	dead     bool // a commit ended in a crash

	answered map[[32]byte][32]byte // digest of a request, digest of its voucher
}

func newMaker(w *World) (*maker, error) {
	m := &maker{w: w, db: state.NewMemory(), answered: map[[32]byte][32]byte{}}
	var err error
	if m.idevids, err = newRoot("Maker IDevID CA", keyIDevIDCA); err != nil {
		return nil, err
	}
	if m.vouchers, err = newRoot("Maker Voucher CA", keyVoucherCA); err != nil {
		return nil, err
	}
	key, err := keyNumber(keyVoucherSigner)
	if err != nil {
		return nil, err
	}
	cert, err := m.vouchers.VoucherSigner(ca.EntityParams{CommonName: "Maker MASA", PublicKey: key.Public(), NotBefore: epoch.AddDate(0, -1, 0), NotAfter: epoch.AddDate(2, 0, 0)})
	if err != nil {
		return nil, err
	}
	signer, err := signerOf(key)
	if err != nil {
		return nil, err
	}
	secret, _, err := audit.GenerateKey(w.random, "masa.example.com/log")
	if err != nil {
		return nil, err
	}
	heads, err := audit.NewSigner(secret)
	if err != nil {
		return nil, err
	}
	log, err := audit.New(heads, w.random)
	if err != nil {
		return nil, err
	}
	m.cfg = masa.Config{Log: log, Verifier: verifier(), Signer: signer, Chain: []*x509.Certificate{cert, m.vouchers.Certificate()},
		Manufacturers: []device.Manufacturer{{Name: "maker", Anchors: []*x509.Certificate{m.idevids.Certificate()}}}}
	return m, m.start()
}

// start begins a process on what is durable.
func (m *maker) start() (err error) {
	m.dead, m.cfg.DB = false, m.db
	m.db.OnCommit(m.w.fault(&m.dead))
	m.service, err = masa.New(m.cfg)
	return err
}

// fault decides what becomes of each commit, and notes a crash in dead.
func (w *World) fault(dead *bool) func(uint64) state.Fault {
	return func(uint64) state.Fault {
		if !w.trouble() {
			return state.NoFault
		}
		w.count.Crashes++
		*dead = true
		if w.rand.IntN(2) == 0 {
			return state.CrashBefore
		}
		return state.CrashAfter
	}
}

// stock puts the devices on record, and the owner of the exclusive ones.
func (m *maker) stock(w *World) error {
	calm := w.calm
	w.calm = true // the story begins after this
	defer func() { w.calm = calm }()
	if err := m.service.AddCustomer(w.ctx, masa.Customer{Name: owner, Anchors: []*x509.Certificate{w.sites[0].domain.Certificate()}, Nonceless: true, MaxLifetime: 48 * time.Hour}, w.now); err != nil {
		return err
	}
	for _, exclusive := range []bool{false, true} {
		var certs bytes.Buffer
		for _, d := range w.devices {
			if d.exclusive == exclusive {
				certs.Write(ca.ChainPEM(d.identity.Chain...))
			}
		}
		if certs.Len() == 0 {
			continue
		}
		devices, err := list.NewReader(&certs, list.Options{Format: list.FormatPEM})
		if err != nil {
			return err
		}
		options := masa.ImportOptions{Now: w.now, Exclusive: exclusive}
		if exclusive {
			options.Owner = owner
		}
		if _, err := m.service.ImportDevices(w.ctx, devices, options); err != nil {
			return err
		}
		if err := devices.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (m *maker) peer() []*x509.Certificate { return nil } // TLS to the MASA is the network's

// answer serves a registrar, or whoever says to be one.
func (m *maker) answer(c *request) reply {
	r := m.w.value(c)
	var answer reply
	switch {
	case strings.HasSuffix(c.path, "/requestvoucher"):
		given, err := m.service.RequestVoucher(m.w.ctx, r)
		answer = m.w.replied(given, err)
		if err == nil {
			m.issued(c, given.Body)
		}
	case strings.HasSuffix(c.path, "/requestauditlog"):
		answer = m.w.replied(m.service.RequestAuditLog(m.w.ctx, r))
	default:
		answer = reply{status: 404}
	}
	if m.dead {
		m.db = m.db.Reopen()
		if err := m.start(); err != nil {
			m.w.violate("the MASA does not start after a crash: %v", err)
		}
		answer.died = true
	}
	return answer
}

// issued holds that a voucher which leaves is in the durable log, and that the
// same request gets the same octets.
func (m *maker) issued(c *request, voucher []byte) {
	w := m.w
	w.count.Vouchers++
	digest, from := sha256.Sum256(voucher), sha256.Sum256(c.body)
	if before, again := m.answered[from]; again && before != digest {
		w.violate("the MASA answered one request with two vouchers")
	}
	m.answered[from] = digest
	format, err := artefact.FormatOf(c.contentType, codec.FormatCMS, codec.FormatJWS)
	if err != nil {
		w.violate("the MASA answered a request of type %q", c.contentType)
		return
	}
	opener := artefact.Opener{Verifier: verifier()}
	v, err := opener.Voucher(w.ctx, format, voucher, artefact.Trust{Anchors: []*x509.Certificate{m.vouchers.Certificate()}, At: w.now})
	if err != nil {
		w.violate("the MASA's voucher does not open: %v", err)
		return
	}
	d := w.bySerial(string(v.Leaves.SerialNumber))
	if d == nil {
		w.violate("a voucher for %q, which does not exist", v.Leaves.SerialNumber)
		return
	}
	found := 0
	err = m.db.View(w.ctx, func(r state.Reader) error {
		return audit.DeviceEntries(r, d.id(), func(e *audit.Entry) error {
			if bytes.Equal(e.Event.RequestDigest, from[:]) {
				found++
				if !bytes.Equal(e.Event.VoucherDigest, digest[:]) {
					w.violate("%s: the event states another voucher than the one that left", d.serial)
				}
			}
			return nil
		})
	})
	if err != nil && !m.dead || err == nil && found != 1 {
		w.violate("%s: a voucher left with %d events of its request in the log, %v", d.serial, found, err)
	}
	if d.exclusive && !bytes.Equal(v.Leaves.PinnedDomainCert, w.sites[0].domain.Certificate().Raw) {
		w.violate("%s: an exclusive device's voucher pins another's certificate", d.serial)
	}
}

// audited checks the whole log at the end of a story.
func (m *maker) audited() error {
	var head audit.Head
	err := m.db.View(m.w.ctx, func(r state.Reader) (err error) {
		head, err = audit.Check(r)
		return err
	})
	if err != nil {
		return err
	}
	distinct := map[[32]byte]bool{}
	for _, voucher := range m.answered {
		distinct[voucher] = true
	}
	if int(head.Size) < len(distinct) {
		return errors.New("the log has fewer events than vouchers left")
	}
	return nil
}
