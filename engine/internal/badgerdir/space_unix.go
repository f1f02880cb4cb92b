//go:build unix

package badgerdir

import "golang.org/x/sys/unix"

// FreeSpace returns the octets an unprivileged process may still allocate.
func FreeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}
