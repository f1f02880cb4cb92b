package verify

import (
	"bytes"
	"testing"
)

// The last answer holds for the same certificates and the same of them only.
func TestASignerIsFoundByAllCertificatesAndItsPlace(t *testing.T) {
	c := newChains(&Trust{})
	a, b := []byte("one"), []byte("two") // no certificates, which is told of each
	sets := [][][]byte{{a}, {b}, {a, b}, {b, a}, {a, a}, {a, b, a}, {append(bytes.Clone(a), b...)}, {a, append(bytes.Clone(b), a...)}}
	type place struct{ set, index int }
	seen := map[*signer]place{}
	for range 2 {
		for set, certs := range sets {
			for index := range certs {
				who := c.find(certs, index)
				if at, known := seen[who]; known && at != (place{set, index}) {
					t.Errorf("certificate %d of set %d is taken for %d of set %d", index, set, at.index, at.set)
				}
				seen[who] = place{set, index}
				if again := c.find(certs, index); again != who {
					t.Errorf("certificate %d of set %d is another when asked again", index, set)
				}
			}
		}
	}
	if len(seen) != 14 {
		t.Errorf("%d signers", len(seen))
	}
}
