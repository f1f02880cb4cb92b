package page

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"slices"

	"github.com/vouchmill/vouchmill/engine/merkle"
)

// A Builder makes pages, one after the other, in the caller's memory. Once its
// buffer has grown to a page's size it allocates nothing. It belongs to one
// goroutine at a time, and moves with the batch it is part of.
//
// The order of calls for each page is Reset, Add until it returns false,
// Signatures, Finish.
type Builder struct {
	buf           []byte // header, then serials; the rest after Signatures
	first         uint64
	signatureSize int
	n             int
	serialBytes   int
	variantBytes  int // of the variants section if it is written
	lineBytes     int // of the lines section if it is written
	mixed         bool
	scattered     bool
	laidOut       bool
	variants      [MaxVouchers]uint32
	lines         [MaxVouchers]uint64
}

// Reset begins a page in the memory of dst (its content is overwritten). The
// first voucher gets the position first; signatures take signatureSize octets.
func (b *Builder) Reset(dst []byte, first uint64, signatureSize int) error {
	if signatureSize < 1 || signatureSize > MaxSignatureSize {
		return fmt.Errorf("page: signature size %d is outside 1..%d octets", signatureSize, MaxSignatureSize)
	}
	b.buf = extend(dst[:0], headerSize)
	b.first, b.signatureSize = first, signatureSize
	b.n, b.serialBytes, b.variantBytes, b.lineBytes = 0, 0, 0, 0
	b.mixed, b.scattered, b.laidOut = false, false, false
	return nil
}

// Len returns the number of vouchers added so far.
func (b *Builder) Len() int { return b.n }

// First returns the position of the first voucher in the run.
func (b *Builder) First() uint64 { return b.first }

// Serial returns the serial of voucher i, for i below Len, as a view that is
// valid until the next Reset. It walks the page: use it for few, not for all.
func (b *Builder) Serial(i int) []byte {
	rest := b.buf[headerSize : headerSize+b.serialBytes]
	for ; ; i-- {
		n, size := binary.Uvarint(rest)
		if i == 0 {
			return rest[size : size+int(n)]
		}
		rest = rest[size+int(n):]
	}
}

// AppendSerials appends all serials in order to dst, as views that are valid
// until the next Reset.
func (b *Builder) AppendSerials(dst [][]byte) [][]byte {
	rest := b.buf[headerSize : headerSize+b.serialBytes]
	for range b.n {
		n, size := binary.Uvarint(rest)
		end := size + int(n)
		dst = append(dst, rest[size:end:end])
		rest = rest[end:]
	}
	return dst
}

// Variant returns the variant of voucher i, for i below Len.
func (b *Builder) Variant(i int) uint32 { return b.variants[i] }

// Line returns the line of voucher i, for i below Len.
func (b *Builder) Line(i int) uint64 { return b.lines[i] }

// Add appends one voucher and reports whether it went in: false means that the
// page is full and that this voucher begins the next one. Its serial is
// copied. The first voucher of a page always fits.
func (b *Builder) Add(serial []byte, variant uint32, line uint64) (bool, error) {
	if b.laidOut {
		return false, ErrLaidOut
	}
	if len(serial) == 0 || len(serial) > MaxSerialBytes {
		return false, fmt.Errorf("page: serial number of %d octets on line %d, allowed are 1..%d", len(serial), line, MaxSerialBytes)
	}
	mixed, scattered := b.mixed, b.scattered
	var variantBytes, lineBytes int
	if b.n > 0 {
		delta := lineDelta(b.lines[b.n-1], line)
		mixed = mixed || variant != b.variants[0]
		scattered = scattered || delta != 0
		variantBytes = b.variantBytes + uvarintLen(uint64(variant))
		lineBytes = b.lineBytes + uvarintLen(delta)
	}
	serialBytes := b.serialBytes + uvarintLen(uint64(len(serial))) + len(serial)
	size := headerSize + serialBytes + (b.n+1)*b.signatureSize + reservedNodes + checksumSize
	if mixed {
		size += variantBytes
	}
	if scattered {
		size += lineBytes
	}
	if b.n == MaxVouchers || size > MaxBytes {
		return false, nil
	}
	b.buf = binary.AppendUvarint(b.buf, uint64(len(serial)))
	b.buf = append(b.buf, serial...)
	b.variants[b.n], b.lines[b.n] = variant, line
	b.serialBytes, b.variantBytes, b.lineBytes = serialBytes, variantBytes, lineBytes
	b.mixed, b.scattered = mixed, scattered
	b.n++
	return true, nil
}

// Signatures lays the page out and returns the Len×signatureSize octets into
// which the signatures are to be written, in order. They are zero. Nothing can
// be added afterwards. Calling it again returns the same octets.
func (b *Builder) Signatures() []byte {
	if !b.laidOut {
		b.layOut()
	}
	end := len(b.buf)
	return b.buf[end-b.n*b.signatureSize : end : end]
}

func (b *Builder) layOut() {
	if !b.mixed {
		b.variantBytes = 0
	}
	if !b.scattered {
		b.lineBytes = 0
	}
	h := b.buf[:headerSize]
	h[0] = Version
	binary.BigEndian.PutUint16(h[1:], uint16(b.n))
	binary.BigEndian.PutUint16(h[3:], uint16(b.signatureSize))
	binary.BigEndian.PutUint32(h[5:], uint32(b.serialBytes))
	binary.BigEndian.PutUint16(h[9:], uint16(b.variantBytes))
	binary.BigEndian.PutUint16(h[11:], uint16(b.lineBytes))
	binary.BigEndian.PutUint32(h[13:], b.variants[0])
	binary.BigEndian.PutUint64(h[17:], b.first)
	binary.BigEndian.PutUint64(h[25:], b.lines[0])
	if b.mixed {
		for _, v := range b.variants[1:b.n] {
			b.buf = binary.AppendUvarint(b.buf, uint64(v))
		}
	}
	if b.scattered {
		for i := 1; i < b.n; i++ {
			b.buf = binary.AppendUvarint(b.buf, lineDelta(b.lines[i-1], b.lines[i]))
		}
	}
	b.buf = extend(b.buf, b.n*b.signatureSize)
	b.laidOut = true
}

// Finish completes the page with the Merkle nodes of its vouchers, the range
// [First, First+Len), and returns it as a view into the builder's memory that
// is valid until the next Reset. It is called once a page.
func (b *Builder) Finish(nodes []merkle.Hash) ([]byte, error) {
	if b.n == 0 {
		return nil, &FormatError{"count", "a page needs at least one voucher"}
	}
	if want := merkle.NodeCount(b.first, b.first+uint64(b.n)); len(nodes) != want {
		return nil, fmt.Errorf("page: %d Merkle nodes for vouchers [%d, %d), want %d", len(nodes), b.first, b.first+uint64(b.n), want)
	}
	b.Signatures()
	for i := range nodes {
		b.buf = append(b.buf, nodes[i][:]...)
	}
	b.buf = binary.BigEndian.AppendUint32(b.buf, crc32.Checksum(b.buf, castagnoli))
	return b.buf, nil
}

// Memory returns the builder's buffer, to be given to the next Reset.
func (b *Builder) Memory() []byte { return b.buf }

// extend appends n zero octets.
func extend(b []byte, n int) []byte {
	b = slices.Grow(b, n)
	tail := b[len(b) : len(b)+n]
	clear(tail)
	return b[:len(b)+n]
}

// lineDelta is the zigzag form of how far line is from the one after previous.
func lineDelta(previous, line uint64) uint64 {
	d := int64(line - previous - 1)
	return uint64(d<<1) ^ uint64(d>>63)
}

// uvarintLen returns the octets binary.AppendUvarint takes for v.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
