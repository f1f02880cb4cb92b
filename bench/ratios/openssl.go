package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Benchmarks of OpenSSL, named as ours are.
const (
	opensslSign   = "openssl/sign"
	opensslVerify = "openssl/verify"
)

// openssl measures ES256 by the speed command of the OpenSSL in the path, which
// counts its processor time. Where there is none, its rows are left out.
type openssl struct{}

func (openssl) measure(names, _ string) (results, error) {
	if names == "" {
		return nil, nil
	}
	cmd := exec.Command("openssl", "speed", "-seconds", "1", "ecdsap256")
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Fprintln(os.Stderr, "openssl is not installed: its rows are left out")
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	found := parseOpenSSL(string(out))
	if found == nil {
		return nil, fmt.Errorf("%s: no line of ecdsa (nistp256) with two rates in %q", cmd, out)
	}
	return found, nil
}

// parseOpenSSL finds the line that ends with signatures and verifications a
// second.
func parseOpenSSL(out string) results {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || !strings.Contains(line, "ecdsa (nistp256)") {
			continue
		}
		signs, err1 := strconv.ParseFloat(f[len(f)-2], 64)
		verifies, err2 := strconv.ParseFloat(f[len(f)-1], 64)
		if err1 == nil && err2 == nil && signs > 0 && verifies > 0 {
			return results{opensslSign: {"ns-cpu/sig": 1e9 / signs}, opensslVerify: {"ns-cpu/sig": 1e9 / verifies}}
		}
	}
	return nil
}
