package page

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/vouchmill/vouchmill/engine/merkle"
)

// A View reads one page in place: what it returns points into the page, which
// must not change while the view is used. The zero View is ready for Parse and
// may be parsed again; it allocates nothing. After Parse it is safe for
// concurrent reading. Methods with an index panic, as a slice does, when it is
// not below Count.
type View struct {
	page          []byte
	first         uint64
	count         int
	signatureSize int
	serials       []byte
	signatures    []byte
	nodes         []byte
	ends          [MaxVouchers]uint32 // end of serial i in serials
	starts        [MaxVouchers]uint32 // its begin, after the length
	variants      [MaxVouchers]uint32
	lines         [MaxVouchers]uint64
}

// Parse checks the whole page, checksum included, and makes v a view of it.
// Errors are [*VersionError], [ErrChecksum] or [*FormatError]; after an error
// v holds nothing usable.
func (v *View) Parse(page []byte) error {
	v.count = 0
	if len(page) == 0 {
		return &FormatError{"length", "the page is empty"}
	}
	if page[0] != Version {
		return &VersionError{page[0]}
	}
	if len(page) < headerSize+checksumSize {
		return &FormatError{"length", "shorter than a page header"}
	}
	if len(page) > MaxBytes {
		return &FormatError{"length", "longer than a page may be"}
	}
	body := page[:len(page)-checksumSize]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(page[len(body):]) {
		return ErrChecksum
	}
	n := int(binary.BigEndian.Uint16(body[1:]))
	v.signatureSize = int(binary.BigEndian.Uint16(body[3:]))
	v.first = binary.BigEndian.Uint64(body[17:])
	if n < 1 || n > MaxVouchers {
		return &FormatError{"count", "outside 1..256"}
	}
	if v.signatureSize < 1 || v.signatureSize > MaxSignatureSize {
		return &FormatError{"signature size", "outside the allowed range"}
	}
	if v.first+uint64(n) < v.first {
		return &FormatError{"position", "overflows"}
	}
	if err := v.sections(body, n); err != nil {
		return err
	}
	v.page, v.count = page, n
	return nil
}

// sections splits what follows the header and reads the packed parts.
func (v *View) sections(body []byte, n int) error {
	rest := body[headerSize:]
	serialBytes := uint64(binary.BigEndian.Uint32(body[5:]))
	variantBytes := uint64(binary.BigEndian.Uint16(body[9:]))
	lineBytes := uint64(binary.BigEndian.Uint16(body[11:]))
	signatureBytes := uint64(n * v.signatureSize)
	nodeBytes := uint64(merkle.NodeCount(v.first, v.first+uint64(n)) * hashSize)
	if serialBytes+variantBytes+lineBytes+signatureBytes+nodeBytes != uint64(len(rest)) {
		return &FormatError{"length", "the sections do not add up to the page"}
	}
	v.serials, rest = rest[:serialBytes], rest[serialBytes:]
	variants, rest := rest[:variantBytes], rest[variantBytes:]
	lines, rest := rest[:lineBytes], rest[lineBytes:]
	v.signatures, v.nodes = rest[:signatureBytes], rest[signatureBytes:]
	if err := v.readSerials(n); err != nil {
		return err
	}
	if err := v.readVariants(variants, binary.BigEndian.Uint32(body[13:]), n); err != nil {
		return err
	}
	return v.readLines(lines, binary.BigEndian.Uint64(body[25:]), n)
}

func (v *View) readSerials(n int) error {
	at := 0
	for i := range n {
		length, size := binary.Uvarint(v.serials[at:])
		if size <= 0 || length < 1 || length > MaxSerialBytes || int(length) > len(v.serials)-at-size {
			return &FormatError{"serials", "a length is outside the allowed range or the section"}
		}
		at += size
		v.starts[i] = uint32(at)
		at += int(length)
		v.ends[i] = uint32(at)
	}
	if at != len(v.serials) {
		return &FormatError{"serials", "octets follow the last serial"}
	}
	return nil
}

func (v *View) readVariants(section []byte, first uint32, n int) error {
	v.variants[0] = first
	if len(section) == 0 {
		for i := 1; i < n; i++ {
			v.variants[i] = first
		}
		return nil
	}
	for i := 1; i < n; i++ {
		id, size := binary.Uvarint(section)
		if size <= 0 || id > 1<<32-1 {
			return &FormatError{"variants", "a number is cut off or too large"}
		}
		v.variants[i] = uint32(id)
		section = section[size:]
	}
	if len(section) != 0 {
		return &FormatError{"variants", "octets follow the last one"}
	}
	return nil
}

func (v *View) readLines(section []byte, first uint64, n int) error {
	v.lines[0] = first
	consecutive := len(section) == 0
	for i := 1; i < n; i++ {
		v.lines[i] = v.lines[i-1] + 1
		if consecutive {
			continue
		}
		zigzag, size := binary.Uvarint(section)
		if size <= 0 {
			return &FormatError{"lines", "a number is cut off or too large"}
		}
		v.lines[i] += uint64(int64(zigzag>>1) ^ -int64(zigzag&1))
		section = section[size:]
	}
	if len(section) != 0 {
		return &FormatError{"lines", "octets follow the last one"}
	}
	return nil
}

// Count returns the number of vouchers, 1 to 256; zero before a good Parse.
func (v *View) Count() int { return v.count }

// First returns the position of the first voucher in the run, from 0.
func (v *View) First() uint64 { return v.first }

// SignatureSize returns the octets of one signature.
func (v *View) SignatureSize() int { return v.signatureSize }

// Serial returns the serial number of voucher i, 1 to 1,024 octets.
func (v *View) Serial(i int) []byte {
	_ = v.ends[:v.count][i]
	return v.serials[v.starts[i]:v.ends[i]:v.ends[i]]
}

// Signature returns the raw signature of voucher i.
func (v *View) Signature(i int) []byte {
	at, end := i*v.signatureSize, (i+1)*v.signatureSize
	return v.signatures[at:end:end]
}

// Signatures returns all signatures, Count×SignatureSize octets.
func (v *View) Signatures() []byte { return v.signatures }

// Variant returns the variant of voucher i.
func (v *View) Variant(i int) uint32 { return v.variants[:v.count][i] }

// Line returns the line, item or file number of voucher i in the device list.
func (v *View) Line(i int) uint64 { return v.lines[:v.count][i] }

// Bytes returns the page itself.
func (v *View) Bytes() []byte { return v.page }

// Range fills r with the Merkle range of the page, reusing r.Nodes.
func (v *View) Range(r *merkle.Range) {
	r.Begin, r.End, r.Nodes = v.first, v.first+uint64(v.count), r.Nodes[:0]
	for at := 0; at < len(v.nodes); at += hashSize {
		r.Nodes = append(r.Nodes, merkle.Hash(v.nodes[at:at+hashSize]))
	}
}
