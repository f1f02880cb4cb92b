//go:build !amd64 || purego

package cpu512

// Features is empty: there is no vector code for this build.
func Features(bool) []Feature { return nil }
