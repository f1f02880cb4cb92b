package kit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// serial is that of the device that most vouchers are for.
const serial = "JADA123456789"

const (
	topVoucher = "ietf-voucher:voucher"
	topRequest = "ietf-voucher-request:voucher"
)

// leaf is one leaf with its value in both encodings, and as the index has it.
type leaf struct {
	name string
	text string // JSON value as written
	cbor []byte // CBOR value as written
	want string // "" in payloads that are refused
}

// SIDs of the two modules, as deltas to the container's.
var (
	voucherSIDs = map[string]uint64{"assertion": 1, "created-on": 2, "domain-cert-revocation-checks": 3, "expires-on": 4,
		"idevid-issuer": 5, "last-renewal-date": 6, "nonce": 7, "pinned-domain-cert": 8, "pinned-domain-pubk": 9,
		"pinned-domain-pubk-sha256": 10, "serial-number": 11, "additional-configuration-url": 12, "est-domain": 13,
		"manufacturer-proprietary": 14, "extensions": 15}
	requestSIDs = map[string]uint64{"assertion": 1, "created-on": 2, "expires-on": 4, "idevid-issuer": 5, "nonce": 7,
		"prior-signed-voucher-request": 9, "proximity-registrar-cert": 10, "proximity-registrar-pubk-sha256": 11,
		"proximity-registrar-pubk": 12, "serial-number": 13, "agent-sign-cert": 15, "agent-signed-data": 16}
)

const (
	sidVoucher = 2451
	sidRequest = 2501
)

// order is that of JSON members in what the project writes.
var order = []string{"created-on", "expires-on", "last-renewal-date", "assertion", "domain-cert-revocation-checks", "est-domain",
	"additional-configuration-url", "extensions", "manufacturer-proprietary", "pinned-domain-pubk", "pinned-domain-pubk-sha256",
	"prior-signed-voucher-request", "proximity-registrar-cert", "proximity-registrar-pubk", "proximity-registrar-pubk-sha256",
	"agent-sign-cert", "agent-signed-data", "pinned-domain-cert", "idevid-issuer", "nonce", "serial-number"}

func quote(s string) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func textLeaf(name, value string) leaf { return leaf{name, quote(value), cborText(value), value} }

func binaryLeaf(name string, value []byte) leaf {
	sum := sha256.Sum256(value)
	return leaf{name, quote(base64.StdEncoding.EncodeToString(value)), cborBytes(value), "sha256:" + hex.EncodeToString(sum[:])}
}

func assertionLeaf(name string) leaf {
	n := slices.Index([]string{"verified", "logged", "proximity", "agent-proximity"}, name)
	return leaf{"assertion", quote(name), cborUint(uint64(n)), name}
}

func boolLeaf(name string, value bool) leaf {
	if value {
		return leaf{name, "true", []byte{0xf5}, "true"}
	}
	return leaf{name, "false", []byte{0xf4}, "false"}
}

// payload is a set of leaves by their names.
type payload map[string]leaf

// voucher is the payload of a sound nonceless voucher.
func (p *pki) voucher() payload {
	return payload{}.with(textLeaf("created-on", "2026-11-24T10:00:00Z"), textLeaf("expires-on", "2036-11-24T10:00:00Z"),
		assertionLeaf("logged"), binaryLeaf("pinned-domain-cert", p.owner.chain[0]), textLeaf("serial-number", serial))
}

// nonced is the payload of a sound voucher with a nonce.
func (p *pki) nonced() payload {
	return p.voucher().without("expires-on").with(binaryLeaf("nonce", stream("nonce", 16)))
}

// request is the payload of a pledge's voucher-request.
func (p *pki) request() payload {
	return payload{}.with(textLeaf("created-on", "2026-11-24T10:00:00Z"), assertionLeaf("proximity"), textLeaf("serial-number", serial),
		binaryLeaf("nonce", stream("nonce", 16)), binaryLeaf("proximity-registrar-cert", p.registrar.chain[0]))
}

func (p payload) with(leaves ...leaf) payload {
	out := maps.Clone(p)
	for _, l := range leaves {
		out[l.name] = l
	}
	return out
}

func (p payload) without(names ...string) payload {
	out := maps.Clone(p)
	for _, name := range names {
		delete(out, name)
	}
	return out
}

// pinned swaps the pinned certificate for another way to pin it.
func (p payload) pinned(how string, owner *identity) payload {
	spki := owner.spki()
	if how == "pinned-domain-pubk-sha256" {
		sum := sha256.Sum256(spki)
		spki = sum[:]
	}
	return p.without("pinned-domain-cert").with(binaryLeaf(how, spki))
}

// members is what stands between the inner braces.
func (p payload) members() string {
	var out []string
	for _, name := range order {
		if l, ok := p[name]; ok {
			out = append(out, quote(name)+":"+l.text)
		}
	}
	return strings.Join(out, ",")
}

func (p payload) json(top string) []byte {
	return []byte("{" + quote(top) + ":{" + p.members() + "}}")
}

// cbor is the core deterministic encoding (RFC 8949 §4.2.1) keyed with SIDs.
func (p payload) cbor(sid uint64, sids map[string]uint64) []byte {
	var entries []entry
	for name, l := range p {
		entries = append(entries, entry{sids[name], l.cbor})
	}
	slices.SortFunc(entries, func(a, b entry) int { return int(a.delta) - int(b.delta) })
	return cborPayload(sid, entries...)
}

func (p payload) voucherCBOR() []byte { return p.cbor(sidVoucher, voucherSIDs) }

// wants are the leaves as the index has them.
func (p payload) wants() map[string]string {
	out := map[string]string{}
	for name, l := range p {
		out[name] = l.want
	}
	return out
}
