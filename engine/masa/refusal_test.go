package masa_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
)

// TestRefusals is the table of bad inputs: what each must be refused for.
func TestRefusals(t *testing.T) {
	message := func(change func(*exchange.Request)) func(*joining) *exchange.Request {
		return func(j *joining) *exchange.Request {
			r := j.exchange()
			change(r)
			return r
		}
	}
	changed := func(change func(*joining)) func(*joining) *exchange.Request {
		return func(j *joining) *exchange.Request {
			change(j)
			return j.exchange()
		}
	}
	for _, c := range []struct {
		name  string
		kind  decision.Kind
		check string // the last of the trail
		make  func(*joining) *exchange.Request
	}{
		{"no content type", decision.ContentType, "content-type", message(func(r *exchange.Request) { r.ContentType = "" })},
		{"COSE", decision.ContentType, "content-type", message(func(r *exchange.Request) { r.ContentType = "application/voucher+cose" })},
		{"JSON as such", decision.ContentType, "content-type", message(func(r *exchange.Request) { r.ContentType = "application/json" })},
		{"accept excludes all", decision.NotAcceptable, "accept", message(func(r *exchange.Request) { r.Accept = "application/voucher-cms+json;q=0, text/plain" })},
		{"accept is COSE", decision.NotAcceptable, "accept", message(func(r *exchange.Request) { r.Accept = "application/voucher+cose" })},
		{"empty body", decision.Empty, "body", message(func(r *exchange.Request) { r.Body = nil })},
		{"too large", decision.TooLarge, "body", message(func(r *exchange.Request) { r.Body = make([]byte, exchange.MaxRegistrarRequest+1) })},
		{"base64", decision.Wrapped, "envelope", message(func(r *exchange.Request) { r.Body = []byte(base64.StdEncoding.EncodeToString(r.Body)) })},
		{"garbage", decision.Malformed, "envelope", message(func(r *exchange.Request) { r.Body = []byte{0x30, 0x03, 0x02, 0x01, 0x01} })},
		{"cut off", decision.Malformed, "envelope", message(func(r *exchange.Request) { r.Body = r.Body[:len(r.Body)-1] })},
		{"altered", decision.BadSignature, "signature", message(func(r *exchange.Request) { r.Body[len(r.Body)-1] ^= 1 })},
		{"content altered", decision.BadSignature, "signature", message(func(r *exchange.Request) {
			r.Body = bytes.Replace(r.Body, []byte(`"SN-1"`), []byte(`"SN-2"`), 1)
		})},
		{"a voucher in place of a request", decision.BadPayload, "payload", message(func(r *exchange.Request) {
			r.Body = bytes.Clone(r.Body)
		})},
		{"a nonce of 4 octets", decision.BadNonce, "payload", nil},
		{"two signers", decision.SeveralSigners, "envelope", nil},

		{"signer expired", decision.ChainInconsistent, "chain", changed(func(j *joining) {
			j.requestSigner = newEntity(j.w.t, "Old Registrar", j.w.domain, asRegistrar, until(epoch.Add(-time.Hour)))
		})},
		{"domain CA expired", decision.PinExpires, "chain", changed(func(j *joining) {
			old := newEntity(j.w.t, "Old CA", nil, asCA, until(epoch.Add(-time.Hour)))
			j.requestSigner, j.requestChain = newEntity(j.w.t, "Registrar", old, asRegistrar), []*entity{old}
		})},
		{"domain CA about to expire", decision.PinExpires, "pin", changed(func(j *joining) {
			old := newEntity(j.w.t, "Old CA", nil, asCA, until(epoch.Add(5*time.Minute)))
			registrar := newEntity(j.w.t, "Registrar", old, asRegistrar)
			j.requestSigner, j.requestChain, j.pledge.ProximityRegistrarCert = registrar, []*entity{old}, registrar.cert.Raw
		})},
		{"no cmcRA", decision.NotRegistrar, "cmc-ra", changed(func(j *joining) {
			j.requestSigner = newEntity(j.w.t, "LDevID", j.w.domain, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		})},
		{"any extended key usage is not cmcRA", decision.NotRegistrar, "cmc-ra", changed(func(j *joining) {
			j.requestSigner = newEntity(j.w.t, "LDevID", j.w.domain, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
		})},

		{"proximity-registrar-cert of the registrar", decision.ForbiddenLeaf, "leaves", changed(func(j *joining) { j.request.ProximityRegistrarCert = j.w.registrar.cert.Raw })},
		{"proximity-registrar-pubk-sha256 of the registrar", decision.ForbiddenLeaf, "leaves", changed(func(j *joining) { j.request.ProximityRegistrarPubkSHA256 = make([]byte, 32) })},
		{"stale", decision.StaleRequest, "created-on", changed(func(j *joining) { j.request.CreatedOn = epoch.Add(-24*time.Hour - time.Second) })},
		{"from the future", decision.StaleRequest, "created-on", changed(func(j *joining) { j.request.CreatedOn = epoch.Add(6 * time.Minute) })},

		{"unknown serial number", decision.UnknownDevice, "device", changed(func(j *joining) {
			j.request.SerialNumber = []byte("SN-9")
		})},
		{"unknown issuer", decision.UnknownDevice, "device", changed(func(j *joining) {
			j.without, j.request.IDevIDIssuer = true, codec.IssuerFromKeyID(bytes.Repeat([]byte{7}, 20))
		})},
		{"idevid-issuer is not the certificate's", decision.IssuerMismatch, "idevid-issuer", changed(func(j *joining) {
			j.request.IDevIDIssuer = codec.IssuerFromKeyID(bytes.Repeat([]byte{7}, 20))
		})},
		{"blocked device", decision.DeviceRefused, "blocked", changed(func(j *joining) {
			_, err := j.w.masa.Block(context.Background(), "SN-1", "stolen")
			must(j.w.t, err)
		})},
		{"blocked customer", decision.DeviceRefused, "blocked", changed(func(j *joining) {
			j.w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{j.w.domain.cert}})
			must(j.w.t, j.w.masa.BlockCustomer(context.Background(), "acme", "does not pay"))
		})},

		{"prior is garbage", decision.PriorSignature, "prior-request", changed(func(j *joining) { j.fixed, j.request.PriorSignedVoucherRequest = true, []byte("none") })},
		{"prior is altered", decision.PriorSignature, "prior-request", changed(func(j *joining) {
			prior := sealRequest(j.w.t, j.format, &j.pledge, j.pledgeSigner)
			prior[len(prior)-1] ^= 1
			j.fixed, j.request.PriorSignedVoucherRequest = true, prior
		})},
		{"prior by a device of another manufacturer", decision.PriorSignature, "prior-request", changed(func(j *joining) {
			other := newEntity(j.w.t, "Maker CA", nil, asCA)
			j.pledgeSigner = newEntity(j.w.t, "Device", other, asDevice("SN-1"))
		})},
		{"prior by the registrar itself", decision.PriorSignature, "prior-request", changed(func(j *joining) { j.pledgeSigner = j.w.registrar })},
		{"prior by another device", decision.PriorMismatch, "serial-number", changed(func(j *joining) { j.pledgeSigner = j.w.devices[1] })},
		{"prior states another serial number", decision.PriorMismatch, "serial-number", changed(func(j *joining) { j.pledge.SerialNumber = []byte("SN-2") })},
		{"prior too large", decision.TooLarge, "prior-request", changed(func(j *joining) {
			j.pledge.ManufacturerProprietary = make([]byte, exchange.MaxPledgeRequest)
		})},
		{"nonces differ", decision.NonceMismatch, "nonce", changed(func(j *joining) { j.request.Nonce = bytes.Repeat([]byte{1}, 16) })},
		{"nonce of the registrar alone", decision.NonceMismatch, "nonce", changed(func(j *joining) { j.pledge.Nonce = nil })},
		{"nonce of the pledge alone", decision.NonceMismatch, "nonce", changed(func(j *joining) { j.request.Nonce = nil })},
		{"the pledge saw another registrar", decision.ProximityNotInPath, "proximity", changed(func(j *joining) {
			j.pledge.ProximityRegistrarCert = newEntity(j.w.t, "Attacker", nil).cert.Raw
		})},
		{"the pledge says nothing of a registrar", decision.ProximityNotInPath, "proximity", changed(func(j *joining) { j.pledge.ProximityRegistrarCert = nil })},
		{"the first proximity leaf counts", decision.ProximityNotInPath, "proximity", changed(func(j *joining) {
			j.pledge.ProximityRegistrarPubkSHA256 = bytes.Repeat([]byte{1}, sha256.Size)
		})},

		{"nonceless by a stranger", decision.NoncelessUnknown, "nonceless", changed(func(j *joining) { j.nonceless() })},
		{"nonceless for a device nobody owns", decision.NoncelessForbidden, "nonceless", changed(func(j *joining) {
			j.w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{j.w.domain.cert}, Nonceless: true})
			j.nonceless()
		})},
		{"nonceless for a device of another", decision.OwnedByOther, "nonceless", changed(func(j *joining) {
			j.w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{j.w.domain.cert}, Nonceless: true})
			j.w.customer(masa.Customer{Name: "other", Anchors: []*x509.Certificate{newEntity(j.w.t, "Other CA", nil, asCA).cert}})
			j.w.own("other", "SN-1")
			j.nonceless()
		})},
		{"nonceless not allowed", decision.NoncelessForbidden, "nonceless", changed(func(j *joining) {
			j.w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{j.w.domain.cert}})
			j.w.own("acme", "SN-1")
			j.nonceless()
		})},
		{"nonceless without the customer's TLS certificate", decision.NoncelessUnknown, "nonceless", changed(func(j *joining) {
			j.w.customer(masa.Customer{Name: "acme", Anchors: []*x509.Certificate{j.w.domain.cert}, Nonceless: true, ClientCerts: []*x509.Certificate{newEntity(j.w.t, "TLS", nil).cert}})
			j.w.own("acme", "SN-1")
			j.nonceless()
		})},
		{"exclusive device of another", decision.OwnedByOther, "owner", changed(func(j *joining) {
			j.w.customer(masa.Customer{Name: "other", Anchors: []*x509.Certificate{newEntity(j.w.t, "Other CA", nil, asCA).cert}})
			j.w.own("other", "SN-1")
			_, err := j.w.masa.SetDevice(context.Background(), "SN-1", true, false)
			must(j.w.t, err)
		})},
		{"full disk", decision.StorageFull, "commit", changed(func(j *joining) { j.w.db.SetFull(true) })},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			j := w.join(0)
			var r *exchange.Request
			switch {
			case c.kind == decision.BadNonce:
				r = w.raw(`{"ietf-voucher-request:voucher":{"serial-number":"SN-1","nonce":"AAAA"}}`)
			case c.kind == decision.BadPayload:
				r = w.raw(`{"ietf-voucher:voucher":{"serial-number":"SN-1","nonce":"AAAAAAAAAAAAAAAAAAAAAA=="}}`)
			case c.kind == decision.SeveralSigners:
				j.format = codec.FormatJWS
				r = j.exchange()
				r.Body = twoSignatures(t, r.Body)
			default:
				r = c.make(j)
			}
			refusal := w.refused(r, c.kind)
			if refusal.Operator == "" || refusal.Public != c.kind.Public() {
				t.Errorf("the refusal says %q to the peer and %q to the operator", refusal.Public, refusal.Operator)
			}
			last := w.attempts[len(w.attempts)-1]
			if n := len(last.Checks); n == 0 || last.Checks[n-1].OK || last.Checks[n-1].Kind != c.kind || last.Checks[n-1].Name != c.check {
				t.Errorf("the trail ends in %+v, want a failed %q", last.Checks, c.check)
			}
			for _, check := range last.Checks[:len(last.Checks)-1] {
				if !check.OK {
					t.Errorf("%q failed and the attempt went on", check.Name)
				}
			}
			w.db.SetFull(false)
			if n := w.events(0); n != 0 {
				t.Errorf("there are %d events after a refusal", n)
			}
		})
	}
}

// raw is a request with a payload as it is.
func (w *world) raw(payload string) *exchange.Request {
	w.t.Helper()
	return &exchange.Request{Now: w.now, ContentType: codec.FormatCMS.MediaType(), Body: seal(w.t, codec.FormatCMS, []byte(payload), w.registrar, w.domain)}
}

// twoSignatures repeats the signature of a JWS.
func twoSignatures(t *testing.T, jws []byte) []byte {
	t.Helper()
	text := string(jws)
	begin, end := strings.Index(text, `"signatures":[`)+len(`"signatures":[`), strings.LastIndex(text, "]")
	if begin < len(`"signatures":[`) || end < begin {
		t.Fatalf("no signatures in %s", text)
	}
	return []byte(text[:end] + "," + text[begin:end] + text[end:])
}

func TestAmbiguousSerialNumber(t *testing.T) {
	w := newWorld(t, func(c *masa.Config) {})
	second := newEntity(t, "Second Maker CA", nil, asCA)
	w.cfg.Manufacturers = append(w.cfg.Manufacturers, device.Manufacturer{Name: "second", Anchors: []*x509.Certificate{second.cert}})
	w.start()
	twin := newEntity(t, "Device", second, asDevice("SN-1"))
	if done := w.importDevices(masa.ImportOptions{}, twin); done.New != 1 {
		t.Fatalf("imported %+v", done)
	}
	j := w.join(0)
	j.without, j.request.IDevIDIssuer = true, nil
	refusal := w.refused(j.exchange(), decision.AmbiguousDevice)
	if !strings.Contains(refusal.Operator, w.id(0).String()) {
		t.Errorf("the operator is told %q, which does not name %v", refusal.Operator, w.id(0))
	}
	if v := w.join(0).voucher(); v.Leaves.IDevIDIssuer == nil {
		t.Error("the voucher does not say which of the two devices it is for")
	}
	j = w.join(0)
	j.request.IDevIDIssuer = nil // the pledge's certificate tells
	j.voucher()
	j = w.join(0)
	j.without = true // idevid-issuer tells
	if v := j.voucher(); v.Leaves.Assertion != codec.AssertionLogged {
		t.Errorf("assertion is %v without the pledge's request", v.Leaves.Assertion)
	}
}

func TestIDevIDIssuerInItsThreeForms(t *testing.T) {
	w := newWorld(t)
	keyID := []byte(w.id(0).IssuerKeyID)
	for _, form := range [][]byte{codec.IssuerFromKeyID(keyID), codec.IssuerFromKeyID(keyID)[2:], keyID} {
		j := w.join(0)
		j.request.IDevIDIssuer = form
		j.voucher()
		j = w.join(0)
		j.without, j.request.IDevIDIssuer = true, form
		j.voucher()
	}
}

func TestLeavesToBeIgnoredAreIgnored(t *testing.T) {
	w := newWorld(t)
	j := w.join(0)
	j.request.LastRenewalDate, j.request.DomainCertRevocationChecks = epoch, codec.BoolOf(true)
	j.request.PinnedDomainCert = newEntity(t, "Stranger", nil, asCA).cert.Raw
	j.request.ExpiresOn = epoch.AddDate(50, 0, 0)
	v := j.voucher()
	if !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) || !v.Leaves.ExpiresOn.IsZero() || !v.Leaves.LastRenewalDate.IsZero() {
		t.Errorf("the voucher follows what the registrar said: %+v", v.Leaves)
	}
}

func TestRequirePrior(t *testing.T) {
	w := newWorld(t, func(c *masa.Config) { c.RequirePrior = true })
	j := w.join(0)
	j.without = true
	w.refused(j.exchange(), decision.PriorSignature)
	w.join(0).voucher()
}

func TestLoggedOnMismatchByDevicePolicy(t *testing.T) {
	w := newWorld(t)
	_, err := w.masa.SetDevice(context.Background(), "SN-1", false, true)
	must(t, err)
	j := w.join(0)
	j.pledge.ProximityRegistrarCert = newEntity(t, "Attacker", nil).cert.Raw
	if v := j.voucher(); v.Leaves.Assertion != codec.AssertionLogged {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	// A signature that does not hold is no mismatch.
	j.pledgeSigner = newEntity(t, "Device", newEntity(t, "Maker CA", nil, asCA), asDevice("SN-1"))
	w.refused(j.exchange(), decision.PriorSignature)
}

// revoked is a Revocation that knows one certificate.
type revoked struct{ *x509.Certificate }

func (r revoked) Check(_ context.Context, path []*x509.Certificate, _ time.Time) error {
	for i := range len(path) - 1 { // who issued the last one is not known
		if path[i].Equal(r.Certificate) {
			return errors.New("it is on the list")
		}
	}
	return nil
}

func TestRevokedRegistrar(t *testing.T) {
	w := newWorld(t)
	w.join(0).voucher()
	w.cfg.Revocation = revoked{w.registrar.cert}
	w.start()
	w.refused(w.join(0).exchange(), decision.ChainInconsistent)
	// The CA of a customer is known, whether the registrar sends it or not.
	w.acme(nil)
	j := w.join(0).nonceless()
	j.requestChain = nil
	w.refused(j.exchange(), decision.ChainInconsistent)
}

func TestARenewalHoldsTheOldVoucher(t *testing.T) {
	w := newWorld(t)
	answer, err := w.masa.RequestVoucher(context.Background(), w.join(0).exchange())
	must(t, err)
	renew := func(change func(*joining)) *joining {
		j := w.join(0)
		j.fixed, j.request.PriorSignedVoucherRequest = true, answer.Body
		if change != nil {
			change(j)
		}
		return j
	}
	if v := renew(nil).voucher(); v.Leaves.Assertion != codec.AssertionLogged {
		t.Errorf("assertion is %v", v.Leaves.Assertion)
	}
	w.refused(renew(func(j *joining) { j.request.SerialNumber = []byte("SN-2") }).exchange(), decision.PriorMismatch)
	w.refused(renew(func(j *joining) {
		other := newEntity(t, "Other CA", nil, asCA)
		j.requestSigner, j.requestChain = newEntity(t, "Registrar", other, asRegistrar), []*entity{other}
	}).exchange(), decision.ProximityNotInPath)
	w.refused(renew(func(j *joining) {
		forged := newEntity(t, "Voucher CA", nil, asCA)
		payload := []byte(`{"ietf-voucher:voucher":{"created-on":"2026-06-01T12:00:00Z","assertion":"logged","serial-number":"SN-1","pinned-domain-cert":"` + base64.StdEncoding.EncodeToString(w.domain.cert.Raw) + `"}}`)
		j.request.PriorSignedVoucherRequest = seal(t, codec.FormatCMS, payload, newEntity(t, "Voucher Signer", forged), forged)
	}).exchange(), decision.PriorSignature)
}
