package sign

import (
	"crypto"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// ErrSelfCheck marks a signature that its own signer made and that does not
// verify: a fault of the processor, the memory, a token or the code.
var ErrSelfCheck = errors.New("sign: a signature just made does not verify; do not use this machine or token further before its fault is found")

// SelfCheckError says which item of a batch failed the check. All signatures
// of its batch were overwritten, and the signer refuses further ones.
type SelfCheckError struct {
	Index int   // position in the batch
	Err   error // what the verifier said
}

// Error names the item and what the verifier said.
func (e *SelfCheckError) Error() string {
	return fmt.Sprintf("%v (item %d: %v)", ErrSelfCheck, e.Index, e.Err)
}

// Unwrap gives ErrSelfCheck and the verifier's error.
func (e *SelfCheckError) Unwrap() []error { return []error{ErrSelfCheck, e.Err} }

// CheckEvery is the recommended distance between checked signatures.
const CheckEvery = 256

// Checked makes a signer check its own work: the first signature, and from
// there at least one in every is verified by the best verifier here before the
// batch that holds it is handed out; every = 1 checks all. The distance is made
// odd, so that over time every lane of an implementation is looked at that
// works on a power of two of them. A check of some finds a lasting fault and not
// a single one; only a check of all does that, at the price of the
// verification.
//
// When a check fails, SignBatch returns a [*SelfCheckError], the whole batch is
// zero, and the signer works no more: every further batch gets the same error.
// Items the signer itself reported as failed are not checked. The result is
// safe for concurrent use and allocates nothing in its steady state; closing it
// closes the signer. The error is a [*UsageError] for every below 1, else that
// of [PreparePublicKey].
func Checked(s Signer, every int) (Signer, error) {
	if s == nil || every < 1 {
		return nil, &UsageError{Reason: fmt.Sprintf("one signature in %d cannot be checked; 1 checks all, %d is recommended", every, CheckEvery)}
	}
	key, err := PreparePublicKey(s.Algorithm(), s.Public())
	if err != nil {
		return nil, err
	}
	v, err := NewVerifier(VerifierOptions{})
	if err != nil {
		return nil, err
	}
	return &checkedSigner{signer: s, verifier: v, key: key, step: uint64(every - 1 + every%2)}, nil
}

type checkedSigner struct {
	signer   Signer
	verifier Verifier
	key      *PublicKey
	step     uint64 // signatures whose number is a multiple of it are checked

	made   atomic.Uint64                  // signatures asked for so far
	failed atomic.Pointer[SelfCheckError] // the first failure, nil until then
	lists  sync.Pool                      // of *checkList
}

// checkList is the working memory of one running check.
type checkList struct {
	items []VerifyItem
	index []int // of each item, in the batch
}

func (c *checkedSigner) Algorithm() *Algorithm    { return c.signer.Algorithm() }
func (c *checkedSigner) Public() crypto.PublicKey { return c.signer.Public() }
func (c *checkedSigner) Deterministic() bool      { return c.signer.Deterministic() }
func (c *checkedSigner) Close() error             { return c.signer.Close() }

func (c *checkedSigner) SignBatch(sigs []byte, inputs [][]byte) error {
	if failed := c.failed.Load(); failed != nil {
		return failed
	}
	err := c.signer.SignBatch(sigs, inputs)
	partly, some := errors.AsType[*BatchError](err)
	if err != nil && !some {
		return err // nothing was written
	}
	first := c.made.Add(uint64(len(inputs))) - uint64(len(inputs))
	if failed := c.check(first, sigs, inputs, partly); failed != nil {
		c.failed.CompareAndSwap(nil, failed)
	}
	// A failure another goroutine found meanwhile holds this batch back too.
	if failed := c.failed.Load(); failed != nil {
		clear(sigs[:len(inputs)*c.Algorithm().SignatureSize])
		return failed
	}
	return err
}

// check verifies those signatures of a batch whose turn it is; first is the
// number of the batch's first signature among all.
func (c *checkedSigner) check(first uint64, sigs []byte, inputs [][]byte, partly *BatchError) *SelfCheckError {
	due := (first + c.step - 1) / c.step * c.step
	if due >= first+uint64(len(inputs)) {
		return nil
	}
	list, _ := c.lists.Get().(*checkList)
	if list == nil {
		list = new(checkList)
	}
	defer c.lists.Put(list)
	size := c.Algorithm().SignatureSize
	for ; due < first+uint64(len(inputs)); due += c.step {
		at := int(due - first)
		if partly == nil || !partly.has(at) {
			list.items = append(list.items, VerifyItem{Key: c.key, Input: inputs[at], Signature: sigs[at*size : (at+1)*size]})
			list.index = append(list.index, at)
		}
	}
	var failed *SelfCheckError
	if c.verifier.VerifyBatch(list.items) != nil {
		failed = list.failure()
	}
	clear(list.items) // the pool keeps no memory of callers alive
	list.items, list.index = list.items[:0], list.index[:0]
	return failed
}

// failure is the first item that did not verify.
func (l *checkList) failure() *SelfCheckError {
	for i := range l.items {
		if err := l.items[i].Err; err != nil {
			return &SelfCheckError{Index: l.index[i], Err: err}
		}
	}
	return nil
}

// has reports whether the item at index is among the failed ones.
func (e *BatchError) has(index int) bool {
	for _, item := range e.Items {
		if item.Index == index {
			return true
		}
	}
	return false
}
