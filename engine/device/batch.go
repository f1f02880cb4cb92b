package device

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/sign"
)

// A Batch identifies many devices at once, as [Identify] does one: a list has
// thousands of IDevIDs of one issuer. An issuer is proven once, by Identify; of
// what else it issued, signatures are checked in batches, where they are ES256.
// Whatever is not as simple as that is left to Identify, and so is everything
// that is refused. It is for one goroutine.
type Batch struct {
	makers   []Manufacturer
	now      time.Time
	verifier sign.Verifier
	proven   map[string]*issuer
	items    []sign.VerifyItem
	of       []pending // what each of items is about
}

// A pending device has all that its certificate needs but the signature.
type pending struct {
	index int
	facts *codec.IDevID
	by    *issuer
}

// An issuer is a certificate that a manufacturer's anchor vouches for, with the
// path to the anchor.
type issuer struct {
	maker       *Manufacturer
	path        []*x509.Certificate
	key         *sign.PublicKey
	from, until time.Time // when all of path is valid
}

// maxProven bounds the issuers that are remembered.
const maxProven = 256

// NewBatch makes a Batch for the time at which certificates must be valid.
func NewBatch(makers []Manufacturer, now time.Time, verifier sign.Verifier) *Batch {
	return &Batch{makers: makers, now: now, verifier: verifier, proven: make(map[string]*issuer)}
}

// Identify identifies the devices of chains, each as it would be given to the
// function Identify, and returns as many identities and errors: of each device
// one of both.
func (b *Batch) Identify(chains [][]*x509.Certificate) ([]*Identity, []error) {
	identities, errs := make([]*Identity, len(chains)), make([]error, len(chains))
	b.items, b.of = b.items[:0], b.of[:0]
	for i, chain := range chains {
		if !b.prepare(i, chain) {
			identities[i], errs[i] = b.alone(chain)
		}
	}
	// The outcome of each is in its item.
	_ = b.verifier.VerifyBatch(b.items)
	for k, p := range b.of {
		chain := chains[p.index]
		if b.items[k].Err != nil {
			identities[p.index], errs[p.index] = b.alone(chain)
			continue
		}
		identities[p.index], errs[p.index] = identity(p.facts, p.by.maker, append([]*x509.Certificate{chain[0]}, p.by.path...))
	}
	return identities, errs
}

// issuerName is what a certificate says of who issued it.
func issuerName(c *x509.Certificate) string {
	return string(c.RawIssuer) + "\x00" + string(c.AuthorityKeyId)
}

// prepare adds the signature of a device's certificate to the batch, unless the
// certificate is not as simple as that.
func (b *Batch) prepare(i int, chain []*x509.Certificate) bool {
	if len(chain) != 1 || chain[0].SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return false
	}
	c := chain[0]
	by := b.proven[issuerName(c)]
	if by == nil || b.now.Before(by.from) || b.now.After(by.until) || b.now.Before(c.NotBefore) || b.now.After(c.NotAfter) {
		return false
	}
	facts, err := codec.ReadIDevID(c)
	if err != nil || facts.CertificateAuthority || len(understood(facts).UnhandledCriticalExtensions) > 0 {
		return false
	}
	signature, ok := rawSignature(c.Signature)
	if !ok {
		return false
	}
	digest := sha256.Sum256(c.RawTBSCertificate)
	b.items = append(b.items, sign.VerifyItem{Key: by.key, Input: digest[:], Signature: signature})
	b.of = append(b.of, pending{i, facts, by})
	return true
}

// alone identifies one device, and remembers who issued its certificate where
// that was the manufacturer's own doing.
func (b *Batch) alone(chain []*x509.Certificate) (*Identity, error) {
	found, err := Identify(chain, b.makers, b.now)
	if err != nil || len(chain) != 1 || len(found.Chain) < 2 || len(b.proven) == maxProven {
		return found, err
	}
	by := &issuer{maker: found.Manufacturer, path: found.Chain[1:], from: found.Chain[1].NotBefore, until: found.Chain[1].NotAfter}
	for _, c := range by.path {
		if constrains(c) {
			return found, nil
		}
		if c.NotBefore.After(by.from) {
			by.from = c.NotBefore
		}
		if c.NotAfter.Before(by.until) {
			by.until = c.NotAfter
		}
	}
	public, ok := by.path[0].PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return found, nil
	}
	if by.key, err = sign.PreparePublicKey(sign.ES256, public); err == nil {
		b.proven[issuerName(chain[0])] = by
	}
	return found, nil
}

// constrains reports whether a CA says more about what it issued than that it
// did: name constraints and policies (RFC 5280 §4.2.1.10, §4.2.1.11, §4.2.1.14)
// are for a whole path to be checked against.
func constrains(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if id := e.Id; len(id) == 4 && id[0] == 2 && id[1] == 5 && id[2] == 29 && slices.Contains([]int{30, 33, 36, 54}, id[3]) {
			return true
		}
	}
	return false
}

// rawSignature returns r‖s of a DER Ecdsa-Sig-Value of P-256.
func rawSignature(der []byte) ([]byte, bool) {
	in := cryptobyte.String(der)
	var inner cryptobyte.String
	var r, s []byte
	if !in.ReadASN1(&inner, casn1.SEQUENCE) || !in.Empty() || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() {
		return nil, false
	}
	const half = 32
	raw := make([]byte, 2*half)
	for i, part := range [][]byte{r, s} {
		part = bytes.TrimLeft(part, "\x00")
		if len(part) > half {
			return nil, false
		}
		copy(raw[(i+1)*half-len(part):], part)
	}
	return raw, true
}
