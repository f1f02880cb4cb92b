package page

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// Version is the format version of the pages that are written, and the only
// one that is read.
const Version = 1

// Bounds of one page. They are part of the format: what a page may hold
// decides where it is cut, and so the bytes of a run.
const (
	MaxVouchers      = 256     // vouchers
	MaxBytes         = 1 << 16 // octets of the whole page
	MaxSerialBytes   = 1024    // octets of one serial number
	MaxSignatureSize = 60_000  // octets of one signature; SLH-DSA has at most 49,856
)

const (
	headerSize   = 33
	checksumSize = 4
	hashSize     = 32
	// reservedNodes octets are kept free for the Merkle nodes, whose number
	// depends on the position: room must not depend on where a page begins.
	reservedNodes = 19 * hashSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrChecksum reports a page whose CRC-32C does not match its content.
var ErrChecksum = errors.New("checksum mismatch: the page was altered on disk")

// ErrLaidOut reports a device added to a page that is already laid out.
var ErrLaidOut = errors.New("page: laid out, nothing can be added")

// A VersionError reports a page of another format version.
type VersionError struct{ Version byte }

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("page has format version %d, this program reads version %d", e.Version, Version)
}

// A FormatError reports a page that is not built as the format says.
type FormatError struct {
	Field  string // the part of the page, as in the package documentation
	Reason string
}

// Error names the field and what is wrong with it.
func (e *FormatError) Error() string { return "page " + e.Field + ": " + e.Reason }
