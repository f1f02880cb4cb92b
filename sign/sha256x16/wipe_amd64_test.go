//go:build amd64 && !purego

package sha256x16

import "testing"

func checkWiped(t *testing.T, n *Nonces) {
	if !n.wide.ready() {
		return
	}
	if *n.wide.key != (chainKey{}) {
		t.Error("Close leaves states of the key")
	}
	w := derivePool.Get().(*deriveScratch)
	defer derivePool.Put(w)
	if *w != (deriveScratch{}) {
		t.Error("a derivation leaves its working memory")
	}
}
