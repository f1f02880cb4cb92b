package kit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The log that the answers of audit/ are from. Its salts are 16 octets of the
// number of the event, counted from 1.
const (
	logOrigin   = "masa.example.com/audit"
	logCustomer = "acme"
	logRun      = "lot-7"
)

// A logEvent is an event with what an answer shows of it.
type logEvent struct {
	index     int
	shownDate time.Time
	nonce     string // in quotes, or null
	assertion string
	record    []byte
}

// privateOf is the digest of the private record of the event with an index.
func privateOf(index int, members ...[]byte) []byte {
	salt := bytes.Repeat([]byte{byte(index + 1)}, 16)
	sum := sha256.Sum256(cborMap(append([][]byte{cborUint(0), cborUint(1), cborUint(1), cborBytes(salt)}, members...)...))
	return cborBytes(sum[:])
}

// logEvents are all events of the log: a voucher of the kit's device, one of
// another, and a run that holds the first.
func (b *builder) logEvents() []logEvent {
	p := b.pki
	at := func(text string) time.Time {
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			panic(err) // the dates are the kit's own
		}
		return t
	}
	domain, issuer := cborArray(cborBytes(p.owner.cert.SubjectKeyId)), cborBytes(p.vendor.cert.SubjectKeyId)
	digest := func(name string) []byte { sum := sha256.Sum256(b.files[name]); return cborBytes(sum[:]) }
	nonce := b64(stream("nonce", 16))
	first, second, third := at("2026-11-24T10:00:05Z"), at("2026-11-25T08:00:00Z"), at("2026-11-26T12:30:00Z")
	created := at("2026-11-20T00:00:00Z")
	member := func(n uint64, value []byte) []byte { return append(cborUint(n), value...) }
	seconds := func(t time.Time) []byte { return cborUint(uint64(t.Unix())) }
	// A record is deterministic CBOR, whose last member commits to the private one.
	record := func(parts ...[]byte) []byte {
		return append(cborHead(5, uint64(len(parts))), bytes.Join(parts, nil)...)
	}
	voucher := func(index int, date time.Time, assertion, serial string, rest ...[]byte) []byte {
		parts := [][]byte{member(0, cborUint(1)), member(1, cborUint(1)), member(2, seconds(date)), member(3, cborText(assertion)), member(4, issuer), member(5, cborText(serial)), member(6, domain)}
		return record(append(append(parts, rest...), member(13, privateOf(index, cborUint(2), cborText(logCustomer))))...)
	}
	run := record(member(0, cborUint(1)), member(1, cborUint(2)), member(2, seconds(third)), member(3, cborText("verified")), member(6, domain),
		member(10, cborBytes(stream("manifest", 32))), member(11, seconds(created)), member(12, seconds(created.AddDate(1, 0, 0))),
		member(13, privateOf(2, cborUint(2), cborText(logCustomer), cborUint(3), cborText(logRun), cborUint(4), cborUint(1000))))
	return []logEvent{
		{0, first, `"` + nonce + `"`, "proximity", voucher(0, first, "proximity", serial, member(7, cborText(nonce)), member(8, digest("cms/good-request-registrar.vcj")), member(9, digest("cms/good-nonced.vcj")))},
		{1, second, "null", "verified", voucher(1, second, "verified", "JADA999999999")},
		{2, created, "null", "verified", run},
	}
}

func leafHash(record []byte) [32]byte { return sha256.Sum256(append([]byte{0}, record...)) }

// note signs a text as golang.org/x/mod/sumdb/note does: C2SP's signed-note with
// Ed25519.
func note(text string) (signed, signer, verifier string) {
	seed := stream("audit log", ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	public := append([]byte{1}, key.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte(logOrigin+"\n"), public...))
	id := binary.BigEndian.Uint32(sum[:])
	signature := append(slices.Clone(sum[:4]), ed25519.Sign(key, []byte(text))...)
	return text + "\n\u2014 " + logOrigin + " " + b64(signature) + "\n",
		fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", logOrigin, id, b64(append([]byte{1}, seed...))), fmt.Sprintf("%s+%08x+%s", logOrigin, id, b64(public))
}

// auditCases adds answers to requestauditlog (RFC 8995 §5.8.1) with the member
// that proves them, and the keys of their log.
func (b *builder) auditCases() {
	all := b.logEvents()
	var leaves [][32]byte
	for _, e := range all {
		leaves = append(leaves, leafHash(e.record))
	}
	two := nodeHash(leaves[0], leaves[1])
	root := nodeHash(two, leaves[2])
	signed, signer, verifier := note(fmt.Sprintf("%s\n3\n%s\n", logOrigin, b64(root[:])))
	proofs := [][][32]byte{{leaves[1], leaves[2]}, {leaves[0], leaves[2]}, {two}}
	var events, entries []string
	for _, e := range []logEvent{all[0], all[2]} { // the newest first
		var proof []string
		for _, h := range proofs[e.index] {
			proof = append(proof, `"`+b64(h[:])+`"`)
		}
		events = append(events, fmt.Sprintf(`{"date":"%s","domainID":"%s","nonce":%s,"assertion":"%s"}`, e.shownDate.Format(time.RFC3339), b64(b.pki.owner.cert.SubjectKeyId), e.nonce, e.assertion))
		entries = append(entries, fmt.Sprintf(`{"index":%d,"record":"%s","proof":[%s]}`, e.index, b64(e.record), strings.Join(proof, ",")))
	}
	head := strings.ReplaceAll(signed, "\n", `\n`)
	answer := `{"version":1,"events":[` + strings.Join(events, ",") + `],"truncation":{"nonced duplicates":0,"nonceless duplicates":0,"arbitrary":0},"vouchmill-log":{"head":"` +
		head + `","entries":[` + strings.Join(entries, ",") + `]}}`

	b.good([]byte(signer+"\n"), Case{File: "audit/log.key", Kind: KindLogKey, About: "signs the heads of the log"})
	b.good([]byte(verifier+"\n"), Case{File: "audit/log.pub", Kind: KindLogKey, About: "what registrars are given"})
	c := func(name, about string) Case {
		return Case{File: "audit/" + name + ".json", Kind: KindAuditLog, About: about, Events: 2, Helper: "audit/log.pub"}
	}
	b.good([]byte(answer), c("good-log", "a nonced voucher, and a run that holds the device"))
	_, rest, _ := strings.Cut(answer, `,"vouchmill-log":`)
	b.good([]byte(strings.TrimSuffix(answer, `,"vouchmill-log":`+rest)+"}"), c("form-log-unproven", "as a MASA without proofs answers").unproven())
	b.bad([]byte(strings.Replace(answer, `"assertion":"proximity"`, `"assertion":"verified"`, 1)), "proof", "", c("bad-log-altered", "another assertion than the log's record has"))
	b.bad([]byte(strings.Replace(answer, `\n3\n`, `\n4\n`, 1)), "proof", "", c("bad-log-head", "another size than was signed"))
	b.bad([]byte(answer[:len(answer)-1]), "answer", "", c("bad-log-truncated", "the last octet is missing"))
}

// unproven is a case without a key to prove it by.
func (c Case) unproven() Case {
	c.Helper = ""
	return c
}
