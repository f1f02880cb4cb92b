//go:build !unix

package store

// syncDir has nothing to do where directories cannot be synced.
func syncDir(string) error { return nil }

// isReadOnlyFS: elsewhere this shows as a missing permission.
func isReadOnlyFS(error) bool { return false }
