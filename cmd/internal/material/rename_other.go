//go:build !linux

package material

import "os"

// renameNew renames a directory. A name that was taken since it was looked at is
// refused by the system, unless it is an empty directory.
func renameNew(from, to string) error { return os.Rename(from, to) }
