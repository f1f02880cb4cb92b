package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/vouchmill/vouchmill"

// A listed package, as go list prints it.
type listed struct {
	ImportPath string
	Imports    []string
}

// mustNot says, for each room of the module, what no package in it may
// import: import paths, each with all that lies below it.
var mustNot = map[string][]string{
	"codec":  {module + "/sign", module + "/engine", module + "/cmd"},
	"sign":   {module + "/codec", module + "/engine", module + "/cmd"},
	"engine": {module + "/cmd", "net/http", "flag", "github.com/spf13/cobra", "github.com/spf13/pflag"},
}

// arrowsBack returns the imports that point the wrong way. Every package of a
// room is looked at, so direct imports are enough to see the indirect ones
// within the module; what other modules import is theirs.
func arrowsBack(packages []listed) []string {
	var arrows []string
	for _, p := range packages {
		room, _, _ := strings.Cut(strings.TrimPrefix(p.ImportPath, module+"/"), "/")
		for _, imported := range p.Imports {
			if slices.ContainsFunc(mustNot[room], func(path string) bool {
				return imported == path || strings.HasPrefix(imported, path+"/")
			}) {
				arrows = append(arrows, p.ImportPath+" imports "+imported)
			}
		}
	}
	return arrows
}

func TestImportsPointOneWay(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no go command to list the imports with: %v", err)
	}
	list := exec.Command(goTool, "list", "-json=ImportPath,Imports", "./...")
	list.Dir = ".."
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	for room := range mustNot {
		if !slices.ContainsFunc(packages, func(p listed) bool { return p.ImportPath == module+"/"+room }) {
			t.Errorf("%s is not among the %d packages listed", room, len(packages))
		}
	}
	for _, arrow := range arrowsBack(packages) {
		t.Errorf("%s; imports go cmd → engine → {codec, sign}", arrow)
	}
}

func TestArrowsBackAreFound(t *testing.T) {
	for _, c := range []struct {
		from, to string
		back     bool
	}{
		{"codec", module + "/sign", true},
		{"codec", module + "/sign/wide", true},
		{"codec/internal/der", module + "/engine", true},
		{"codec", "encoding/json", false},
		{"codec", module + "/codec/internal/der", false},
		{"sign/pkcs11", module + "/codec", true},
		{"sign", module + "/cmd/vouchmill", true},
		{"sign", module + "/sign/wide", false},
		{"engine/masa", "net/http", true},
		{"engine/masa", "net/http/httptest", true},
		{"engine/issue", "github.com/spf13/pflag", true},
		{"engine", module + "/cmd/internal/transport", true},
		{"engine/store", module + "/codec", false},
		{"engine/store", "net/netip", false},
		{"cmd/masa", "net/http", false},
		{"bench", module + "/sign", false},
	} {
		t.Run(fmt.Sprintf("%s to %s", c.from, filepath.Base(c.to)), func(t *testing.T) {
			got := arrowsBack([]listed{{ImportPath: module + "/" + c.from, Imports: []string{"fmt", c.to}}})
			if (len(got) == 1) != c.back {
				t.Errorf("found %q, want found = %v", got, c.back)
			}
		})
	}
}
