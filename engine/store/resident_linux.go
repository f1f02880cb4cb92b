package store

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropResident takes the memory map that holds value, a value log file of
// Badger's, out of this process: what was written through it is in the page
// cache or on disk, and the maps of a large run would otherwise count as
// resident to their last byte. The map is shared, so nothing is lost; a later
// access faults it in again.
//
// It must be called while Badger lends out value: until the call that lends it
// returns, the file cannot be unmapped. It returns the bounds of the map.
func dropResident(value []byte) (begin, end uintptr) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(value)))
	begin, end = findMap(at)
	if begin == end {
		return 0, 0
	}
	// Only the bounds are used, never the memory between them.
	start := unsafe.Add(unsafe.Pointer(unsafe.SliceData(value)), -int(at-begin))
	_ = unix.Madvise(unsafe.Slice((*byte)(start), end-begin), unix.MADV_DONTNEED) // advice: failure changes nothing
	return begin, end
}

// findMap returns the bounds of the shared map of a value log file that holds
// the address, or zeros.
func findMap(at uintptr) (begin, end uintptr) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := sc.Bytes()
		var mode string
		if _, err := fmt.Sscanf(string(line), "%x-%x %s", &begin, &end, &mode); err != nil {
			continue
		}
		if begin <= at && at < end {
			if len(mode) == 4 && mode[3] == 's' && bytes.HasSuffix(line, []byte(".vlog")) {
				return begin, end
			}
			break
		}
	}
	return 0, 0
}
