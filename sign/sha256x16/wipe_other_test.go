//go:build !amd64 || purego

package sha256x16

import "testing"

func checkWiped(*testing.T, *Nonces) {}
