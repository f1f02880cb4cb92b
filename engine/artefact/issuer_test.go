package artefact_test

import (
	"crypto/sha1" // the name of a key, RFC 5280 §4.2.1.2
	"encoding/hex"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/internal/vectors"
)

// The derived nonceless request states what stands for an issuer where the
// IDevID has no AKI: the SHA-1 of the device's own key.
func TestIssuerWithoutAKI(t *testing.T) {
	facts, err := codec.ParseIDevID(vectors.Certificate(t, "http", "rfc8366bis", "00-D0-E5-F2-00-02.crt").Raw)
	if err != nil {
		t.Fatal(err)
	}
	own := artefact.IssuerLeaf(facts)
	if got := hex.EncodeToString(own); got != "04183016801445"+"88cc9696006437b0ba2365646454"+"08066c56ad" {
		t.Errorf("idevid-issuer %s", got)
	}
	vendor := vectors.Certificate(t, "http", "rfc8995", "vendor.crt")
	parent, err := codec.ReadIDevID(vendor)
	if err != nil {
		t.Fatal(err)
	}
	key := sha1.Sum(parent.PublicKeyBits)
	switch theirs := codec.IssuerFromKeyID(key[:]); {
	case !artefact.IssuerMatches(own, facts, nil):
		t.Error("the device's own key does not match")
	case !artefact.IssuerMatches(theirs, facts, vendor):
		t.Error("the issuer's key does not match")
	case artefact.IssuerMatches(theirs, facts, nil):
		t.Error("the key of an issuer that nobody named matches")
	}
}

func TestIssuersMatchInEveryForm(t *testing.T) {
	keyID := []byte("0123456789abcdefghij")
	full := codec.IssuerFromKeyID(keyID)
	facts := &codec.IDevID{AuthorityKeyID: full[2:], KeyIdentifier: keyID}
	for name, c := range map[string]struct {
		leaf []byte
		want bool
	}{
		"whole extension": {artefact.IssuerLeaf(facts), true}, "bare structure": {full[2:], true}, "bare key identifier": {keyID, true},
		"another's": {codec.IssuerFromKeyID([]byte("01234567890123456789")), false}, "nothing": {nil, false}, "garbage": {[]byte{0x30, 0x80}, false},
	} {
		if artefact.IssuerMatches(c.leaf, facts, nil) != c.want {
			t.Errorf("%s: %t", name, !c.want)
		}
	}
}
