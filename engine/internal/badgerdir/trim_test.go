package badgerdir

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestOnlyZerosAreTrimmedAndOnlyMany(t *testing.T) {
	const long = 4 << 20
	for name, c := range map[string]struct {
		written, size, want int
	}{
		"a file as a killed process leaves it":       {300_000, long, 300_000 + trimMargin},
		"written to the end of what is read at once": {256 << 10, long, 256<<10 + trimMargin},
		"an octet further":                           {256<<10 + 1, long, 256<<10 + 1 + trimMargin},
		"of a length that is no multiple":            {1000, long + 77, 1000 + trimMargin},
		"nothing written":                            {0, long, trimMargin},
		"few zeros":                                  {long, long + trimLeast - 1, long + trimLeast - 1},
		"just enough zeros":                          {long, long + trimLeast, long + trimMargin},
		"full":                                       {long, long, long},
		"empty":                                      {0, 0, 0},
	} {
		content := make([]byte, c.size)
		for i := range c.written {
			content[i] = byte(i % 5) // zeros within are no end
		}
		if c.written > 0 {
			content[c.written-1] = 1
		}
		path := filepath.Join(t.TempDir(), "000001.vlog")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := trimZeros(path, int64(c.size)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) != c.want || !bytes.Equal(got, content[:len(got)]) {
			t.Errorf("%s: %d octets, %v, want the first %d", name, len(got), err, c.want)
		}
	}
	if err := trimZeros(filepath.Join(t.TempDir(), "none.vlog"), long); err == nil {
		t.Error("a file that is not there passed")
	}
}
