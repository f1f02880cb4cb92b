package bundle

import (
	"fmt"
	"strings"
)

// Kind is the form of a bundle.
type Kind uint8

// The forms. KindVouchers is only read: a directory of vouchers that no one
// ordered, or a lone voucher.
const (
	KindUnknown Kind = iota
	KindTar
	KindNDJSON
	KindCBORSeq
	KindDir
	KindVouchers
)

// String names the kind as its extension does.
func (k Kind) String() string {
	names := [...]string{"unknown", "tar", "ndjson", "cborseq", "directory", "vouchers"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Compression is how a bundle's bytes are compressed.
type Compression uint8

// The compressions.
const (
	Uncompressed Compression = iota
	Gzip
	Zstd
)

// KindOf tells the form of a bundle by its path, as the package comment lists
// them; a path that ends in a slash is a directory. The error is an [*Error]
// of kind ErrKind.
func KindOf(path string) (Kind, Compression, error) {
	if strings.HasSuffix(path, "/") {
		return KindDir, Uncompressed, nil
	}
	name, compression := strings.ToLower(path), Uncompressed
	switch {
	case strings.HasSuffix(name, ".gz"):
		name, compression = strings.TrimSuffix(name, ".gz"), Gzip
	case strings.HasSuffix(name, ".zst"):
		name, compression = strings.TrimSuffix(name, ".zst"), Zstd
	case strings.HasSuffix(name, ".tgz"):
		return KindTar, Gzip, nil
	}
	for suffix, kind := range map[string]Kind{".tar": KindTar, ".ndjson": KindNDJSON, ".cborseq": KindCBORSeq} {
		if strings.HasSuffix(name, suffix) {
			return kind, compression, nil
		}
	}
	return KindUnknown, Uncompressed, &Error{Name: path, Kind: ErrKind,
		Remedy: "end it in .tar, .ndjson or .cborseq, then perhaps .gz or .zst, or in a slash for a directory"}
}
