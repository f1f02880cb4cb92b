package wide

import "fmt"

// A Check says which signatures a [Signer] verifies before it lets them go.
type Check uint32

const (
	// CheckSome verifies the first signature of a signer and then at least one in
	// 256, with up to fifteen neighbours, which cost nothing more. That finds a
	// fault that lasts, such as a broken table or a broken core, and not a single
	// one. It is the default.
	CheckSome Check = iota
	// CheckAll verifies every signature, which takes more than twice the time.
	CheckAll
	// CheckNone verifies nothing.
	CheckNone
)

// checkInterval is the number of signatures among which one is verified.
const checkInterval = 256

// A FaultError says that a signature did not verify, though it was made again
// by other code. No signature of the batch was let go.
type FaultError struct{ Index int }

func (e *FaultError) Error() string {
	return fmt.Sprintf("wide: signature %d does not verify: the machine computes wrongly", e.Index)
}

// SetCheck chooses what is verified from now on. It is safe for concurrent use.
func (s *Signer) SetCheck(c Check) { s.check.Store(uint32(c)) }

// sampled is the part of a batch of n that is to be verified now.
func (s *Signer) sampled(n int) (first, last int) {
	switch Check(s.check.Load()) {
	case CheckNone:
		return 0, 0
	case CheckAll:
		return 0, n
	}
	after := s.signed.Add(uint64(n))
	before := after - uint64(n)
	due := int(after/checkInterval - before/checkInterval)
	if before == 0 {
		due++
	}
	count := min(n, due*Lanes)
	if count == 0 {
		return 0, 0
	}
	first = int(after / checkInterval * Lanes % uint64(n-count+1)) // another place each time
	return first, first + count
}

// release verifies what is due of a batch that the wide code signed. If one
// signature is wrong, the signer leaves the wide code for good, and the whole
// batch is signed and verified again, one at a time.
func (s *Signer) release(sigs []byte, digests [][]byte) error {
	first, last := s.sampled(len(digests))
	if s.wrong(sigs, digests[:last], first, true) < 0 {
		return nil
	}
	s.faulty.Store(true)
	if err := s.signScalar(sigs, digests, nil); err != nil {
		return err
	}
	if i := s.wrong(sigs, digests, 0, false); i >= 0 {
		clear(sigs)
		return &FaultError{i}
	}
	return nil
}

// wrong is the index of a signature, from first on, that does not verify, or -1.
func (s *Signer) wrong(sigs []byte, digests [][]byte, first int, wide bool) int {
	var views [64][]byte
	var ok [64]bool
	for ; first < len(digests); first += len(views) {
		n := min(len(views), len(digests)-first)
		for i := range n {
			at := SignatureSize * (first + i)
			views[i] = sigs[at : at+SignatureSize]
		}
		if wide {
			verifyWide(nil, s.public, digests[first:first+n], views[:n], ok[:n])
		} else {
			s.public.verifyScalar(digests[first:first+n], views[:n], ok[:n])
		}
		for i, good := range ok[:n] {
			if !good {
				return first + i
			}
		}
	}
	return -1
}
