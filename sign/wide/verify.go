package wide

// Verify sets ok[i] to whether sigs[i] is the signature r‖s of digests[i] under
// keys[i]. A digest or a signature of a wrong length is not an error but fails.
// The arguments have the same length, or a [*ShapeError] is returned and ok is
// untouched. Verify is safe for concurrent use and takes variable time.
//
// If all keys are the same *Key, it is [Key.VerifyMany].
func Verify(keys []*Key, digests, sigs [][]byte, ok []bool) error {
	if len(keys) != len(digests) {
		return &ShapeError{"keys", -1, len(keys), len(digests)}
	}
	if err := checkShapes(digests, sigs, ok); err != nil || len(keys) == 0 {
		return err
	}
	same := true
	for _, k := range keys {
		same = same && k == keys[0]
	}
	switch {
	case same:
		keys[0].verifyMany(digests, sigs, ok)
	case len(digests) >= minVerify && Available():
		verifyWide(keys, nil, digests, sigs, ok)
	default:
		for i, k := range keys {
			ok[i] = k.verifyOne(digests[i], sigs[i])
		}
	}
	return nil
}

// VerifyMany does the same for signatures under one key. From about a hundred
// signatures on, over all calls, it uses a table of the key's multiples of 320
// KiB, which makes it more than three times as fast; the package keeps a bounded
// number of these tables.
func (k *Key) VerifyMany(digests, sigs [][]byte, ok []bool) error {
	if err := checkShapes(digests, sigs, ok); err != nil || len(digests) == 0 {
		return err
	}
	k.verifyMany(digests, sigs, ok)
	return nil
}

func (k *Key) verifyMany(digests, sigs [][]byte, ok []bool) {
	seen := k.seen.Add(int64(len(digests)))
	if Available() && (len(digests) >= minVerify || seen >= tableAfter) {
		verifyWide(nil, k, digests, sigs, ok)
		return
	}
	for i := range digests {
		ok[i] = k.verifyOne(digests[i], sigs[i])
	}
}

func checkShapes(digests, sigs [][]byte, ok []bool) error {
	if len(sigs) != len(digests) {
		return &ShapeError{"signatures", -1, len(sigs), len(digests)}
	}
	if len(ok) != len(digests) {
		return &ShapeError{"results", -1, len(ok), len(digests)}
	}
	return nil
}

// minVerify is the least batch for which the wide code is faster: 16 lanes under
// distinct keys take less time than two signatures one at a time.
const minVerify = 2

// tableAfter is how many signatures under a key must have come for its table to
// pay: making it takes as long as about a hundred verifications without it. With
// a table even a lone signature is faster wide.
const tableAfter = 96

// isDecidable reports whether r and s are in [1, n-1] and r is large enough for
// x = r to be the only x that is r modulo n: r+n is below p for r below p-n, which
// is below 2^127.
func isDecidable(sig []byte) (inRange, unique bool) {
	r, s := wordsFromBytes(sig[:32]), wordsFromBytes(sig[32:64])
	return isScalar(&r) && isScalar(&s), r[3]|r[2] != 0
}
