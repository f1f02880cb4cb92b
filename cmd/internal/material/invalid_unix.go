//go:build unix

package material

import (
	"errors"
	"syscall"
)

// isInvalid tells the error of a file system that cannot sync directories.
func isInvalid(err error) bool { return errors.Is(err, syscall.EINVAL) }
