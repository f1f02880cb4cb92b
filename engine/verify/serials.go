package verify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"iter"
)

// Serials is a set of expected devices: serial numbers, with the issuer of their
// IDevIDs where the caller knows it. It takes about 10 octets a device and those
// of the serial number. It is not for concurrent use, and one verification at a
// time may use it.
type Serials struct {
	seed  maphash.Seed
	arena []byte   // records: flag, serial number and key identifier, each behind its length
	table []uint64 // open addressing: 16 bits of hash above 48 of offset + 1; 0 is free
	count uint64
	met   uint64
}

// maxSerialsArena bounds the octets of all records: an offset takes 48 bits.
const maxSerialsArena = 1<<48 - 1

// Len returns how many devices are expected.
func (s *Serials) Len() uint64 { return s.count }

// Add adds a device. keyID is the key identifier of its issuer, nil where it is
// not known. A device that is there already is not added again, and added is
// false.
func (s *Serials) Add(serial, keyID []byte) (added bool, err error) {
	if len(serial) == 0 {
		return false, fmt.Errorf("verify: an expected device needs a serial number")
	}
	if uint64(len(s.arena)+len(serial)+len(keyID)+32) > maxSerialsArena {
		return false, fmt.Errorf("verify: more expected devices than fit (%d); verify a part at a time", s.count)
	}
	if s.table == nil {
		s.seed, s.table = maphash.MakeSeed(), make([]uint64, 64)
	}
	if 4*(s.count+1) > 3*uint64(len(s.table)) {
		s.grow()
	}
	h := maphash.Bytes(s.seed, serial)
	for slot := range s.probe(h, serial) {
		if bytes.Equal(s.keyID(slot), keyID) {
			return false, nil
		}
	}
	offset := uint64(len(s.arena))
	s.arena = append(s.arena, 0)
	s.arena = binary.AppendUvarint(s.arena, uint64(len(serial)))
	s.arena = append(s.arena, serial...)
	s.arena = binary.AppendUvarint(s.arena, uint64(len(keyID)))
	s.arena = append(s.arena, keyID...)
	s.place(h, offset)
	s.count++
	return true, nil
}

// reset forgets which devices have vouchers.
func (s *Serials) reset() {
	for at := 0; s.met > 0 && at < len(s.arena); {
		s.arena[at] = 0
		_, end := s.field(at + 1)
		_, at = s.field(end)
	}
	s.met = 0
}

// take notes the voucher of a device and says what is wrong with there being
// one. Of several devices of a serial number it is the one of the same issuer;
// where either side does not name an issuer, the serial number decides.
func (s *Serials) take(serial, keyID []byte) finding {
	if s.count == 0 {
		return surplus(false)
	}
	known, best, rank := false, uint64(0), 0
	for offset := range s.probe(maphash.Bytes(s.seed, serial), serial) {
		want := s.keyID(offset)
		r := 0
		switch {
		case bytes.Equal(want, keyID):
			r = 3
		case len(want) == 0:
			r = 2
		case len(keyID) == 0:
			r = 1
		default:
			continue // another device
		}
		known = true
		if s.arena[offset] == 0 && r > rank {
			best, rank = offset, r
		}
	}
	if rank == 0 {
		return surplus(known)
	}
	s.arena[best] = 1
	s.met++
	return finding{}
}

func surplus(known bool) finding {
	if known {
		return found(CheckSerial, "find out why the device has several vouchers", "surplus: the device has a voucher already")
	}
	return found(CheckSerial, "check the list of expected devices", "surplus: the device is not among those expected")
}

// missing yields the serial numbers and key identifiers of the devices without
// a voucher, in the order in which they were added.
func (s *Serials) missing() iter.Seq2[[]byte, []byte] {
	return func(yield func(serial, keyID []byte) bool) {
		for at := 0; at < len(s.arena); {
			met := s.arena[at] != 0
			serial, end := s.field(at + 1)
			keyID, end := s.field(end)
			if !met && !yield(serial, keyID) {
				return
			}
			at = end
		}
	}
}

// probe yields the offsets of the records of a serial number.
func (s *Serials) probe(h uint64, serial []byte) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		mask := uint64(len(s.table) - 1)
		for slot := h & mask; s.table[slot] != 0; slot = (slot + 1) & mask {
			if s.table[slot]>>48 != h>>48 {
				continue
			}
			offset := s.table[slot]&maxSerialsArena - 1
			if have, _ := s.field(int(offset) + 1); bytes.Equal(have, serial) && !yield(offset) {
				return
			}
		}
	}
}

// place puts a record into the table, which has room.
func (s *Serials) place(h, offset uint64) {
	mask := uint64(len(s.table) - 1)
	slot := h & mask
	for s.table[slot] != 0 {
		slot = (slot + 1) & mask
	}
	s.table[slot] = h>>48<<48 | (offset + 1)
}

func (s *Serials) grow() {
	s.table = make([]uint64, 2*len(s.table))
	for at := 0; at < len(s.arena); {
		serial, end := s.field(at + 1)
		s.place(maphash.Bytes(s.seed, serial), uint64(at))
		_, at = s.field(end)
	}
}

// keyID returns the key identifier of the record at offset.
func (s *Serials) keyID(offset uint64) []byte {
	_, end := s.field(int(offset) + 1)
	keyID, _ := s.field(end)
	return keyID
}

// field returns the octets behind the length at an offset, and where they end.
func (s *Serials) field(at int) ([]byte, int) {
	n, size := binary.Uvarint(s.arena[at:])
	begin := at + size
	return s.arena[begin : begin+int(n)], begin + int(n)
}
