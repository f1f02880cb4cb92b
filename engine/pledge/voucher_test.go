package pledge_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
	"github.com/vouchmill/vouchmill/engine/pledge"
	"github.com/vouchmill/vouchmill/sign"
)

// A judged voucher: what the MASA wrote, what the device is set to, whom it
// met, and what must come of it.
type judged struct {
	voucher func(*world, *codec.Voucher)
	device  func(*pledge.Config)
	met     func(*world, *pledge.Received)
	kind    decision.Kind // "" accepts
}

var nonce = []byte("0123456789abcdef")

func nonceless(_ *world, v *codec.Voucher) { v.Nonce = nil }

func expires(after time.Duration) func(*world, *codec.Voucher) {
	return func(_ *world, v *codec.Voucher) {
		v.Nonce, v.CreatedOn, v.ExpiresOn = nil, epoch.Add(-24*time.Hour), epoch.Add(after)
	}
}

func noClock(c *pledge.Config) { c.ClockTrusted = false }

// issuedFor is the idevid-issuer of the device in one of its forms.
func issuedFor(form func(keyID []byte) []byte) func(*world, *codec.Voucher) {
	return func(w *world, v *codec.Voucher) { v.IDevIDIssuer = form(w.idevid.Chain[0].AuthorityKeyId) }
}

// shows makes the TLS server one whose certificate f issues.
func shows(f func(*world) []*x509.Certificate) func(*world, *pledge.Received) {
	return func(w *world, r *pledge.Received) { r.Peers = f(w) }
}

func pinsKey(hashed bool) func(*world, *codec.Voucher) {
	return func(w *world, v *codec.Voucher) {
		v.PinnedDomainCert = nil
		spki := w.registrar.chain[0].RawSubjectPublicKeyInfo
		if v.PinnedDomainPubk = spki; hashed {
			sum := sha256.Sum256(spki)
			v.PinnedDomainPubk, v.PinnedDomainPubkSHA256 = nil, sum[:]
		}
	}
}

func pinsRegistrar(w *world, v *codec.Voucher) { v.PinnedDomainCert = w.registrar.chain[0].Raw }

// plainServer is a TLS server of the domain that is no registrar.
func plainServer(w *world) []*x509.Certificate {
	params := entity("server.example", newKey(w.t))
	params.Names.DNS = []string{"server.example"}
	return []*x509.Certificate{must[*x509.Certificate](w.t)(w.registrar.domain.TLSServer(params))}
}

// dated is the registrar with a certificate for other times than usual.
func dated(from, to time.Duration) func(*world) []*x509.Certificate {
	return func(w *world) []*x509.Certificate {
		params := entity("registrar.example", w.registrar.key)
		params.Names.DNS = []string{"registrar.example"}
		params.NotBefore, params.NotAfter = epoch.Add(from), epoch.Add(to)
		return []*x509.Certificate{must[*x509.Certificate](w.t)(w.registrar.domain.Registrar(params))}
	}
}

// expired is the registrar with a certificate that has run out.
var expired = dated(-time.Hour, -30*time.Minute)

// namesake is a registrar under an authority of the same name with another key.
func namesake(w *world) []*x509.Certificate { return newRegistrar(w.t, w, "registrar.example").chain }

var vouchers = map[string]judged{
	"as it should be":                {},
	"of a registrar without issuers": {met: shows(func(w *world) []*x509.Certificate { return w.registrar.chain[:1] })},
	"of no TLS server":               {met: shows(func(*world) []*x509.Certificate { return nil }), kind: pledge.NotUnderPin},

	"for another device":           {voucher: func(_ *world, v *codec.Voucher) { v.SerialNumber = []byte("x") }, kind: decision.SerialMismatch},
	"for a serial number in part":  {voucher: func(_ *world, v *codec.Voucher) { v.SerialNumber = []byte(serial[:5]) }, kind: decision.SerialMismatch},
	"with idevid-issuer":           {voucher: issuedFor(codec.IssuerFromKeyID)},
	"with it less its header":      {voucher: issuedFor(func(id []byte) []byte { return codec.IssuerFromKeyID(id)[2:] })},
	"with it bare":                 {voucher: issuedFor(bytes.Clone)},
	"with another's idevid-issuer": {voucher: issuedFor(func(id []byte) []byte { return codec.IssuerFromKeyID(append([]byte{1}, id[1:]...)) }), kind: decision.IssuerMismatch},

	"with another nonce":                    {voucher: func(_ *world, v *codec.Voucher) { v.Nonce = []byte("0123456789abcdeg") }, kind: decision.NonceMismatch},
	"with the nonce in part":                {voucher: func(_ *world, v *codec.Voucher) { v.Nonce = nonce[:8] }, kind: decision.NonceMismatch},
	"with the nonce in another alphabet":    {voucher: func(_ *world, v *codec.Voucher) { v.NonceText = []byte(base64.RawURLEncoding.EncodeToString(nonce)) }},
	"with a nonce nobody sent":              {met: func(_ *world, r *pledge.Received) { r.Nonce = nil }, kind: decision.NonceMismatch},
	"nonceless":                             {voucher: nonceless},
	"nonceless, not taken":                  {voucher: nonceless, device: func(c *pledge.Config) { c.RefuseNonceless = true }, kind: decision.NoncelessForbidden},
	"nonceless, for ever, no clock":         {voucher: nonceless, device: noClock},
	"nonceless, expires, no clock":          {voucher: expires(time.Hour), device: noClock, kind: decision.NoncelessForbidden},
	"nonceless, expires, no clock, allowed": {voucher: expires(time.Hour), device: func(c *pledge.Config) { c.ClockTrusted, c.IgnoreExpiry = false, true }},
	"with nonce and expiry":                 {voucher: func(_ *world, v *codec.Voucher) { v.ExpiresOn = epoch.Add(time.Hour) }},
	"with nonce and expiry past":            {voucher: func(_ *world, v *codec.Voucher) { v.ExpiresOn = epoch.Add(-time.Hour) }, kind: pledge.VoucherUntimely},

	"expires now":                       {voucher: expires(0)},
	"expired within the skew":           {voucher: expires(-4 * time.Minute)},
	"expired":                           {voucher: expires(-5 * time.Minute), kind: pledge.VoucherUntimely},
	"made in the future within skew":    {voucher: func(_ *world, v *codec.Voucher) { v.CreatedOn = epoch.Add(5 * time.Minute) }},
	"made in the future":                {voucher: func(_ *world, v *codec.Voucher) { v.CreatedOn = epoch.Add(6 * time.Minute) }, kind: pledge.VoucherUntimely},
	"made in the future, no clock":      {voucher: func(_ *world, v *codec.Voucher) { v.CreatedOn = epoch.AddDate(9, 0, 0) }, device: noClock},
	"without created-on":                {voucher: func(_ *world, v *codec.Voucher) { v.CreatedOn = time.Time{} }},
	"of a signer that has expired":      {met: func(_ *world, r *pledge.Received) { r.Now = epoch.AddDate(2, 0, 0) }, kind: decision.BadSignature},
	"of one that has expired, no clock": {device: noClock, met: func(_ *world, r *pledge.Received) { r.Now = epoch.AddDate(2, 0, 0) }},

	"verified":                {voucher: func(_ *world, v *codec.Voucher) { v.Assertion = codec.AssertionVerified }},
	"logged":                  {voucher: func(_ *world, v *codec.Voucher) { v.Assertion = codec.AssertionLogged }},
	"without assertion":       {voucher: func(_ *world, v *codec.Voucher) { v.Assertion = codec.AssertionUnset }},
	"by an agent":             {voucher: func(_ *world, v *codec.Voucher) { v.Assertion = codec.AssertionAgentProximity }, kind: pledge.AssertionRefused},
	"without, logged refused": {voucher: func(_ *world, v *codec.Voucher) { v.Assertion = codec.AssertionUnset }, device: verifiedOnly, kind: pledge.AssertionRefused},

	"pins the registrar":             {voucher: pinsRegistrar},
	"pins its key":                   {voucher: pinsKey(false)},
	"pins its key's hash":            {voucher: pinsKey(true)},
	"pins nothing":                   {voucher: func(_ *world, v *codec.Voucher) { v.PinnedDomainCert = nil }, kind: decision.BadPayload},
	"pins no certificate":            {voucher: func(_ *world, v *codec.Voucher) { v.PinnedDomainCert = []byte("x") }, kind: decision.BadPayload},
	"pins a stranger":                {voucher: func(w *world, v *codec.Voucher) { v.PinnedDomainCert = namesake(w)[0].Raw }, kind: pledge.NotUnderPin},
	"pins a namesake":                {voucher: func(w *world, v *codec.Voucher) { v.PinnedDomainCert = namesake(w)[1].Raw }, kind: pledge.NotUnderPin},
	"pins the maker":                 {voucher: func(w *world, v *codec.Voucher) { v.PinnedDomainCert = w.maker.chain[1].Raw }, kind: pledge.NotUnderPin},
	"pins a device's certificate":    {voucher: func(w *world, v *codec.Voucher) { v.PinnedDomainCert = w.ldevid().Raw }, kind: pledge.NotUnderPin},
	"pins a key that is another's":   {voucher: func(w *world, v *codec.Voucher) { pinsKey(true)(w, v); v.PinnedDomainPubkSHA256[0] ^= 1 }, kind: pledge.NotUnderPin},
	"of a namesake":                  {met: shows(namesake), kind: pledge.NotUnderPin},
	"of a stranger with our issuers": {met: shows(func(w *world) []*x509.Certificate { return append(namesake(w)[:1:1], w.registrar.chain...) }), kind: pledge.NotUnderPin},
	"nonceless pins key and another": {voucher: func(w *world, v *codec.Voucher) {
		nonceless(w, v)
		pinsKey(true)(w, v)
		v.PinnedDomainCert = namesake(w)[1].Raw
	}},
	"nonced pins key and another": {voucher: func(w *world, v *codec.Voucher) {
		pinsKey(true)(w, v)
		v.PinnedDomainCert = namesake(w)[1].Raw
	}, kind: pledge.NotUnderPin},

	"of a server that is no registrar":          {met: shows(plainServer), kind: decision.NotRegistrar},
	"of a server that is no registrar, allowed": {met: shows(plainServer), device: func(c *pledge.Config) { c.AllowPlainRegistrar = true }},
	"of an LDevID": {met: shows(func(w *world) []*x509.Certificate { return []*x509.Certificate{w.ldevid()} }), kind: decision.NotRegistrar},
	"of a plain server that is pinned": {voucher: func(w *world, v *codec.Voucher) {
		w.registrar.peers = plainServer(w)
		v.PinnedDomainCert = w.registrar.peers[0].Raw
	}, met: shows(func(w *world) []*x509.Certificate { return w.registrar.peers })},
	"of a registrar that has expired":                   {voucher: expires(24 * 365 * 9 * time.Hour), met: shows(expired), kind: pledge.NotUnderPin},
	"of a registrar that has expired, no clock":         {met: shows(expired), device: noClock},
	"of a registrar that expired within the skew":       {met: shows(dated(-time.Hour, -4*time.Minute))},
	"of a registrar made within the skew":               {met: shows(dated(4*time.Minute, time.Hour))},
	"of a registrar made in the future":                 {met: shows(dated(6*time.Minute, time.Hour)), kind: pledge.NotUnderPin},
	"of a pinned registrar made in the future":          {voucher: func(w *world, v *codec.Voucher) { v.PinnedDomainCert = expired(w)[0].Raw }, met: shows(dated(6*time.Minute, time.Hour)), kind: pledge.NotUnderPin},
	"of a pinned registrar that has expired":            {voucher: func(w *world, v *codec.Voucher) { v.PinnedDomainCert = expired(w)[0].Raw }, met: shows(expired), kind: pledge.NotUnderPin},
	"of a pinned registrar that has expired, no clock":  {voucher: pinsRegistrar, device: noClock, met: later(2)},
	"demands a revocation check":                        {voucher: revocation(true), kind: pledge.RevocationUnknown},
	"demands a revocation check, made":                  {voucher: revocation(true), device: revoked(nil)},
	"demands a revocation check, revoked":               {voucher: revocation(true), device: revoked(errors.New("revoked")), kind: pledge.RevocationUnknown},
	"forbids a revocation check":                        {voucher: revocation(false), device: revoked(errors.New("revoked"))},
	"demands a revocation check of a key":               {voucher: func(w *world, v *codec.Voucher) { revocation(true)(w, v); pinsKey(true)(w, v) }, device: revoked(nil), kind: pledge.RevocationUnknown},
	"signed by the registrar":                           {met: signedBy(func(w *world) party { return party{chain: w.registrar.chain, key: w.registrar.key} }), kind: decision.BadSignature},
	"signed by a namesake of the maker":                 {met: signedBy(func(w *world) party { return newWorld(w.t).maker }), kind: decision.BadSignature},
	"signed by a namesake that shows the maker's chain": {met: signedBy(func(w *world) party { return party{chain: w.maker.chain, key: newKey(w.t)} }), kind: decision.BadSignature},
	"signed by an IDevID of the maker's":                {met: signedBy(func(w *world) party { return party{chain: w.idevid.Chain, key: w.idevid.Key} }), kind: decision.BadSignature},
	"signed by a maker who is not ours":                 {device: func(c *pledge.Config) { c.VoucherAnchors = anotherMaker }, kind: decision.BadSignature},
}

var anotherMaker []*x509.Certificate

func verifiedOnly(c *pledge.Config) { c.Assertions = []codec.Assertion{codec.AssertionVerified} }

func revocation(check bool) func(*world, *codec.Voucher) {
	return func(_ *world, v *codec.Voucher) { v.DomainCertRevocationChecks = codec.BoolOf(check) }
}

func revoked(err error) func(*pledge.Config) {
	return func(c *pledge.Config) {
		c.CheckRevocation = func(context.Context, *x509.Certificate) error { return err }
	}
}

func later(years int) func(*world, *pledge.Received) {
	return func(_ *world, r *pledge.Received) { r.Now = epoch.AddDate(years, 0, 0) }
}

// signedBy signs the same payload again as somebody else.
func signedBy(who func(*world) party) func(*world, *pledge.Received) {
	return func(w *world, r *pledge.Received) {
		v := must[sign.Verifier](w.t)(sign.NewVerifier(sign.VerifierOptions{}))
		opener := artefact.Opener{Verifier: artefact.Verifying(v)}
		good := must[*artefact.Voucher](w.t)(opener.Voucher(context.Background(), codec.FormatCMS, r.Body, artefact.Trust{Enclosed: true, At: epoch}))
		r.Body = w.sealAs(who(w), codec.FormatCMS, &good.Leaves)
	}
}

func TestVouchers(t *testing.T) {
	anotherMaker = []*x509.Certificate{newAuthority(t, "Maker CA", newKey(t)).Certificate()}
	for name, c := range vouchers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := &codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: epoch, SerialNumber: []byte(serial), Nonce: nonce, PinnedDomainCert: w.registrar.domain.Certificate().Raw}
			if c.voucher != nil {
				c.voucher(w, v)
			}
			if c.device != nil {
				c.device(&w.cfg)
			}
			r := &pledge.Received{Body: w.lax(v), Nonce: nonce, Peers: w.registrar.chain, Now: epoch}
			if c.met != nil {
				c.met(w, r)
			}
			var trail decision.Trail
			imprint, err := w.pledge().Verify(context.Background(), r, &trail)
			if c.kind == "" {
				if err != nil {
					t.Errorf("%v; %+v", err, trail.Checks())
				}
				return
			}
			if imprint != nil || !decision.Is(err, c.kind) {
				t.Errorf("%v, want %s", err, c.kind)
			}
			checks := trail.Checks()
			if last := checks[len(checks)-1]; last.OK || last.Kind != c.kind {
				t.Errorf("the trail ends in %+v", last)
			}
		})
	}
}

// lax seals a voucher that the strict rules for writers need not hold for.
func (w *world) lax(v *codec.Voucher) []byte {
	w.t.Helper()
	payload := must[[]byte](w.t)(codec.AppendVoucherJSON(nil, v))
	return sealPayload(w.t, w.maker, payload)
}

func sealPayload(t testing.TB, p party, payload []byte) []byte {
	t.Helper()
	var chain [][]byte
	for _, c := range p.chain {
		chain = append(chain, c.Raw)
	}
	encoder := must[*codec.EnvelopeEncoder](t)(codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: codec.FormatCMS, Algorithm: artefact.AlgorithmID(sign.ES256), Chain: chain}))
	digest := sha256.Sum256(payload)
	prefix := encoder.AttributesPrefix()
	message := append(prefix[:len(prefix):len(prefix)], digest[:]...)
	signed := sha256.Sum256(message)
	signer := artefact.Signing(must[sign.Signer](t)(sign.NewSigner(sign.ES256, p.key, sign.Options{})))
	signature := must[[]byte](t)(signer.Sign(context.Background(), signed[:]))
	return must[[]byte](t)(encoder.AppendEnvelope(nil, payload, digest[:], signature))
}

// published is a device of a published example, and what it met.
type published struct {
	device, anchor, registrar, voucher string
	format                             codec.Format
	nonce                              string
	at                                 time.Time
	kind                               decision.Kind
}

func TestPublishedVouchers(t *testing.T) {
	const device = "rfc8995/idevid_00-D0-E5-F2-00-02"
	april := time.Date(2021, 4, 14, 0, 0, 0, 0, time.UTC)
	july := time.Date(2022, 7, 11, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]published{
		"RFC 8995 C.2.3":        {device, "rfc8995/vendor.crt", "rfc8995/jrc_prime256v1.crt", "rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", codec.FormatCMS, "-_XE9zK9q8Ll1qylMtLKeg", april, ""},
		"its content type new":  {device, "rfc8995/vendor.crt", "rfc8995/jrc_prime256v1.crt", "derived/voucher-econtent40.cms.der", codec.FormatCMS, "-_XE9zK9q8Ll1qylMtLKeg", april, ""},
		"its nonce another":     {device, "rfc8995/vendor.crt", "rfc8995/jrc_prime256v1.crt", "rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", codec.FormatCMS, "-_XE9zK9q8Ll1qylMtLKeA", april, decision.NonceMismatch},
		"its maker a namesake":  {device, "rfc8366bis/vendor-00-D0-E5-F2-00-02.crt", "rfc8995/jrc_prime256v1.crt", "rfc8995/voucher_00-D0-E5-F2-00-02.cms.der", codec.FormatCMS, "-_XE9zK9q8Ll1qylMtLKeg", april, decision.BadSignature},
		"its attributes gone":   {device, "rfc8995/vendor.crt", "rfc8995/jrc_prime256v1.crt", "derived/voucher-no-signedattrs.cms.der", codec.FormatCMS, "-_XE9zK9q8Ll1qylMtLKeg", april, decision.Malformed},
		"its signature altered": {device, "rfc8995/vendor.crt", "rfc8995/jrc_prime256v1.crt", "derived/voucher-bad-signature.cms.der", codec.FormatCMS, "-_XE9zK9q8Ll1qylMtLKeg", april, decision.BadSignature},
		"8366bis":               {"rfc8366bis/00-D0-E5-F2-00-02", "rfc8995/vendor.crt", "rfc8366bis/registrar-from-vr.crt", "rfc8366bis/voucher_00-D0-E5-F2-00-02.cms.der", codec.FormatCMS, "4vTsppS2CeqBzhEdoifM2g", july, ""},
		"JWS voucher draft":     {"jws-voucher/pledge", "jws-voucher/masa-ca.crt", "", "jws-voucher/voucher.jws.json", codec.FormatJWS, "TauvK+Y/cc2RfIFvpZzfKQ==", time.Time{}, ""},
	} {
		t.Run(name, func(t *testing.T) { c.hold(t) })
	}
}

func (c *published) hold(t *testing.T) {
	w := newWorld(t)
	w.cfg.IDevID.Chain = []*x509.Certificate{vectors.Certificate(t, "http", c.device+".crt")}
	w.cfg.IDevID.Key = must[crypto.Signer](t)(sign.LoadKey(vectors.File(t, "http", c.device+".key"), nil))
	w.cfg.VoucherAnchors = []*x509.Certificate{vectors.Certificate(t, "http", c.anchor)}
	w.cfg.Format, w.cfg.ClockTrusted = c.format, !c.at.IsZero()
	r := &pledge.Received{Body: vectors.File(t, "http", c.voucher), Now: c.at}
	nonce, err := base64.RawURLEncoding.DecodeString(c.nonce)
	if err != nil {
		nonce, err = base64.StdEncoding.DecodeString(c.nonce)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Nonce = nonce
	if c.registrar != "" {
		r.Peers = []*x509.Certificate{vectors.Certificate(t, "http", c.registrar)}
	} else {
		request := open(t, c.format, vectors.File(t, "http", "jws-voucher/pvr.jws.json"))
		r.Peers = []*x509.Certificate{must[*x509.Certificate](t)(x509.ParseCertificate(request.Leaves.ProximityRegistrarCert))}
	}
	var trail decision.Trail
	_, err = w.pledge().Verify(context.Background(), r, &trail)
	if c.kind == "" && err != nil || c.kind != "" && !decision.Is(err, c.kind) {
		t.Errorf("%v, want %q; %+v", err, c.kind, trail.Checks())
	}
}
