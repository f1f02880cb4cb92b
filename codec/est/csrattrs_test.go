package est_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

// readVector reads a public vector: from where VOUCHMILL_VECTORS says, or from
// shared/vectors beside a folder above this one.
func readVector(t testing.TB, name string) []byte {
	t.Helper()
	root := os.Getenv("VOUCHMILL_VECTORS")
	if root == "" {
		dir, err := os.Getwd()
		must(t, err)
		for dir != filepath.Dir(dir) && root == "" {
			dir = filepath.Dir(dir)
			if _, err := os.Stat(filepath.Join(dir, "shared", "vectors")); err == nil {
				root = filepath.Join(dir, "shared", "vectors")
			}
		}
	}
	if root == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("public vectors are missing: set VOUCHMILL_VECTORS")
		}
		t.Skip("public vectors are not here: set VOUCHMILL_VECTORS")
	}
	b, err := os.ReadFile(filepath.Join(root, name))
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublishedAttributesAreWrittenAsTheyWereRead(t *testing.T) {
	for _, name := range []string{"realistic-acp", "rfc7030-example01", "harkins01", "harkins02", "potato-example", "template-derived"} {
		t.Run(name, func(t *testing.T) {
			want := readVector(t, "http/csrattrs/"+name+".csrattr.der")
			a, err := est.ParseCSRAttrs(want, est.Limits{})
			must(t, err)
			got, err := a.Append(nil)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Errorf("written as\n%x, read from\n%x", got, want)
			}
		})
	}
}
