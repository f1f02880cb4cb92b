//go:build !amd64 || purego

package wide

import "io"

// wideKey is not used: [Available] is false.
type wideKey struct{}

func newWideKey(*[32]byte) *wideKey { return nil }

func (*wideKey) wipe() {}

func (*wideKey) faulty() bool { return false }

func (s *Signer) signWide(sigs []byte, digests [][]byte, random io.Reader) error {
	return s.signScalar(sigs, digests, random)
}
