package list

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strconv"

	"github.com/vouchmill/vouchmill/codec"
)

// Synthetic is a made-up list of devices for demonstrations and measurements:
// Count serial numbers, each once, in an order shuffled by Seed. The same values
// give the same octets on every machine, and any device can be had by itself,
// since no list is held in memory.
type Synthetic struct {
	// Count of devices; at most 2⁵³.
	Count uint64
	// Seed chooses the order.
	Seed uint64
	// Prefix of every serial number, "VM-" when empty.
	Prefix string
	// Format is FormatCSV (also FormatAuto), FormatNDJSON or FormatCBORSeq.
	Format Format
	// Issuers, Pins and Expiries, where given, make columns of their own; each
	// device gets one of them by its serial number.
	Issuers  []string
	Pins     []string
	Expiries []string
}

// AppendSerial appends the serial number of device i, 0 ≤ i < Count: Prefix and
// a number of at least nine digits.
func (s *Synthetic) AppendSerial(dst []byte, i uint64) []byte {
	return s.appendSerial(dst, s.number(i))
}

func (s *Synthetic) appendSerial(dst []byte, number uint64) []byte {
	if s.Prefix == "" {
		dst = append(dst, "VM-"...)
	} else {
		dst = append(dst, s.Prefix...)
	}
	for floor := uint64(100_000_000); floor > max(number, 1); floor /= 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, number, 10)
}

// number is the place of device i in the unshuffled list: a permutation of
// 0..Count-1, made by a four-round Feistel network over the next even power of
// two and walking on while that leads out of the range (three more steps at
// most on average).
func (s *Synthetic) number(i uint64) uint64 {
	half := (bits.Len64(max(s.Count, 2)-1) + 1) / 2
	mask := uint64(1)<<half - 1
	for {
		left, right := i>>half, i&mask
		for round := range uint64(4) {
			left, right = right, left^scramble(right+s.Seed+round<<56)&mask
		}
		if i = left<<half | right; i < s.Count {
			return i
		}
	}
}

// scramble is the finaliser of SplitMix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// columns returns the columns of the list and the values each is filled from.
func (s *Synthetic) columns() (cols []column, from [columns][]string) {
	from = [columns][]string{colIssuer: s.Issuers, colPin: s.Pins, colExpires: s.Expiries}
	cols = []column{colSerial}
	for c := colIssuer; c < columns; c++ {
		if len(from[c]) > 0 {
			cols = append(cols, c)
		}
	}
	return cols, from
}

// Write writes the list to w.
func (s *Synthetic) Write(w io.Writer) error {
	if s.Count > 1<<53 {
		return fmt.Errorf("synthetic list of %d devices: at most 2⁵³", s.Count)
	}
	row := s.csvRow
	switch s.Format {
	case FormatAuto, FormatCSV:
	case FormatNDJSON:
		row = s.jsonRow
	case FormatCBORSeq:
		row = s.cborRow
	default:
		return fmt.Errorf("synthetic list as %s: choose csv, ndjson or cborseq", s.Format)
	}
	b := bufio.NewWriterSize(w, 64<<10)
	cols, from := s.columns()
	if s.Format <= FormatCSV {
		for i, c := range cols {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(columnNames[c])
		}
		b.WriteByte('\n')
	}
	var serial, out []byte
	values := make([]string, len(cols))
	for i := range s.Count {
		number := s.number(i)
		serial = s.appendSerial(serial[:0], number)
		for k, c := range cols[1:] {
			values[k+1] = from[c][number%uint64(len(from[c]))]
		}
		out = row(out[:0], cols, serial, values)
		if _, err := b.Write(out); err != nil {
			return err
		}
	}
	return b.Flush()
}

func (s *Synthetic) csvRow(dst []byte, cols []column, serial []byte, values []string) []byte {
	dst = appendCSV(dst, string(serial))
	for _, v := range values[1:] {
		dst = appendCSV(append(dst, ','), v)
	}
	return append(dst, '\n')
}

func (s *Synthetic) jsonRow(dst []byte, cols []column, serial []byte, values []string) []byte {
	for i, c := range cols {
		v := string(serial)
		sep := byte('{')
		if i > 0 {
			v, sep = values[i], ','
		}
		dst = append(append(append(dst, sep, '"'), columnNames[c]...), '"', ':')
		dst = codec.AppendJSONString(dst, []byte(v))
	}
	return append(dst, '}', '\n')
}

func (s *Synthetic) cborRow(dst []byte, cols []column, serial []byte, values []string) []byte {
	dst = append(dst, cborMap<<5|byte(len(cols)))
	for i, c := range cols {
		v := string(serial)
		if i > 0 {
			v = values[i]
		}
		dst = appendCBORText(appendCBORText(dst, columnNames[c]), v)
	}
	return dst
}

// appendCBORText appends s as text, its head as short as can be (RFC 8949
// §4.2.1).
func appendCBORText(dst []byte, s string) []byte {
	switch n := len(s); {
	case n < 24:
		dst = append(dst, cborText<<5|byte(n))
	case n < 1<<8:
		dst = append(dst, cborText<<5|24, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, cborText<<5|25), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, cborText<<5|26), uint32(n))
	}
	return append(dst, s...)
}
