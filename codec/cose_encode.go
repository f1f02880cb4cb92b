package codec

import "errors"

// COSE header labels (RFC 9052 §3.1, RFC 9360 §2, RFC 9597) and tags.
const (
	coseAlg     = 1
	coseCrit    = 2
	coseContent = 3
	coseKID     = 4
	coseCWT     = 15
	coseX5Bag   = 32
	coseX5Chain = 33
	coseX5T     = 34
	coseX5U     = 35

	coseTagSign1 = 18
	cwtIssuedAt  = 6
)

// coseSigned1 opens the Sig_structure: array of four, context "Signature1".
const coseSigned1 = "\x84\x6aSignature1"

// appendCBORInt appends an integer in its shortest form.
func appendCBORInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendHead(dst, cborNegInt, uint64(-1-v))
	}
	return appendHead(dst, cborUint, uint64(v))
}

func appendCBORBytes(dst, b []byte) []byte {
	return append(appendHead(dst, cborBytes, uint64(len(b))), b...)
}

// coseFrame is a tagged COSE_Sign1. The certificates travel unprotected, so
// that a registrar can take them out for a constrained pledge.
type coseFrame struct {
	algorithm AlgorithmID
	opening   []byte // tag, array, protected and unprotected header
	signed    []byte // Sig_structure up to the payload's length
	trailer   []byte // header of the signature
}

func newCOSEFrame(p *EnvelopeParams) (*coseFrame, error) {
	if p.Algorithm.COSE == 0 {
		return nil, errors.New("the algorithm has no COSE identifier: take one that has, or another format")
	}
	protected := appendCBORInt([]byte{cborMap | 1, coseAlg}, p.Algorithm.COSE)
	f := &coseFrame{algorithm: p.Algorithm}
	f.opening = append(f.opening, cborTag|coseTagSign1, cborArray|4)
	f.opening = appendCBORBytes(f.opening, protected)
	f.opening = appendX5Bag(f.opening, p.Chain)
	f.signed = appendCBORBytes([]byte(coseSigned1), protected)
	f.signed = append(f.signed, cborBytes) // external_aad, empty
	f.trailer = appendHead(nil, cborBytes, uint64(p.Algorithm.SignatureSize))
	return f, nil
}

// appendX5Bag appends the unprotected header map with chain in x5bag: one
// certificate is a bare byte string, several are an array (RFC 9360 §2).
func appendX5Bag(dst []byte, chain [][]byte) []byte {
	if len(chain) == 0 {
		return append(dst, cborMap)
	}
	dst = append(dst, cborMap|1)
	dst = appendCBORInt(dst, coseX5Bag)
	if len(chain) > 1 {
		dst = appendHead(dst, cborArray, uint64(len(chain)))
	}
	for _, cert := range chain {
		dst = appendCBORBytes(dst, cert)
	}
	return dst
}

func (f *coseFrame) appendSignedHead(dst []byte, n int) []byte {
	dst = append(dst, f.signed...)
	return appendHead(dst, cborBytes, uint64(n))
}

func (f *coseFrame) attributesPrefix() []byte { return nil }

func (f *coseFrame) appendHead(dst []byte, n int, _ []byte) []byte {
	dst = append(dst, f.opening...)
	return appendHead(dst, cborBytes, uint64(n))
}

func (f *coseFrame) appendFoot(dst, _, signature []byte) []byte {
	dst = append(dst, f.trailer...)
	return append(dst, signature...)
}

func (f *coseFrame) maxOverhead() int {
	return len(f.opening) + 9 + len(f.trailer) + f.algorithm.SignatureSize
}

func (f *coseFrame) appendConstants(dst []byte) []byte {
	for _, c := range [][]byte{f.opening, f.signed, f.trailer} {
		dst = appendConstant(dst, c)
	}
	return dst
}
