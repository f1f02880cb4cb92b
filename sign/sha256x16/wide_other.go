//go:build !amd64 || purego

package sha256x16

// minWide is not reached: there is no wide code in this build.
const minWide = 0

type prefixRows struct{}

func (*prefixRows) fill(*Prefix) {}

type wideHasher struct{}

func (*wideHasher) init()       {}
func (*wideHasher) ready() bool { return false }

func (*Hasher) sumWide(*batch) {}

type wideNonces struct{}

func (*wideNonces) init(*[32]byte) {}
func (*wideNonces) ready() bool    { return false }
func (*wideNonces) wipe()          {}

func (*Nonces) deriveWide([][4]uint64, [][32]byte) {}
