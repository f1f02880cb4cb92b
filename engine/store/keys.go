package store

import "encoding/binary"

// Every key begins with the format version. A run's data shares one prefix, so
// that it can be dropped as a whole.
//
//	01 'N'                        next run number
//	01 'R' name                   run record
//	01 'D' run 'p' page           page
//	01 'D' run 'v' variant        variant
//	01 'D' run 'g'                progress
//	01 'D' run 's' segment        head of an index segment
//	01 'D' run 'i' segment chunk  chunk of an index segment
//
// Numbers are big-endian, 4 octets each (chunk: 2), so keys sort in order.
const (
	formatVersion = 1

	spaceNext = 'N'
	spaceRun  = 'R'
	spaceData = 'D'

	kindPage     = 'p'
	kindVariant  = 'v'
	kindProgress = 'g'
	kindSegment  = 's'
	kindChunk    = 'i'
)

func nextKey() []byte { return []byte{formatVersion, spaceNext} }

func runPrefix() []byte { return []byte{formatVersion, spaceRun} }

func runKey(name string) []byte { return append(runPrefix(), name...) }

func dataPrefix(run uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{formatVersion, spaceData}, run)
}

func dataKey(run uint32, kind byte, numbers ...uint32) []byte {
	k := make([]byte, 0, 16)
	k = append(k, formatVersion, spaceData)
	k = binary.BigEndian.AppendUint32(k, run)
	k = append(k, kind)
	for _, n := range numbers {
		k = binary.BigEndian.AppendUint32(k, n)
	}
	return k
}

func pageKey(run, page uint32) []byte { return dataKey(run, kindPage, page) }

func chunkKey(run, segment uint32, chunk int) []byte {
	return binary.BigEndian.AppendUint16(dataKey(run, kindChunk, segment), uint16(chunk))
}
