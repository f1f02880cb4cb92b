//go:build !unix

package badgerdir

// SyncDir has nothing to do where directories cannot be synced.
func SyncDir(string) error { return nil }

// isReadOnlyFS: elsewhere this shows as a missing permission.
func isReadOnlyFS(error) bool { return false }
