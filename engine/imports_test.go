package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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
	Deps       []string // direct and indirect
}

// mustNot says, for each room of the module, what no package in it may
// import: import paths, each with all that lies below it. A room is a folder
// with all that lies below it.
var mustNot = map[string][]string{
	"codec":  {module + "/sign", module + "/engine", module + "/cmd", "os", "crypto/rand", "crypto/sha1", "crypto/sha256", "crypto/sha512", "math/rand"},
	"sign":   {module + "/codec", module + "/engine", module + "/cmd"},
	"engine": {module + "/cmd", "net/http", "flag", "github.com/spf13/cobra", "github.com/spf13/pflag"},

	// The network, files and a device's storage are passed to the roles, and none
	// of them knows another.
	"engine/masa":      {module + "/engine/registrar", module + "/engine/pledge", "os"},
	"engine/registrar": {module + "/engine/masa", module + "/engine/pledge", "os"},
	"engine/pledge":    {module + "/engine/masa", module + "/engine/registrar", "os"},
}

// mustNotReach says what packages may not depend on, however indirectly: a device
// has no room for a database or for what works on a million vouchers.
var mustNotReach = map[string][]string{
	"engine/pledge": small,
	"cmd/pledge":    small,
}

var small = []string{module + "/engine", module + "/engine/state", module + "/engine/store", "github.com/dgraph-io/badger/v4"}

// arrowsBack returns the imports that point the wrong way. Every package of a
// room is looked at, so direct imports are enough to see the indirect ones
// within the module; what other modules import is theirs.
func arrowsBack(packages []listed) []string {
	var arrows []string
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		for room, paths := range mustNot {
			for _, imported := range p.Imports {
				if within(name, room) && slices.ContainsFunc(paths, func(path string) bool { return within(imported, path) }) {
					arrows = append(arrows, p.ImportPath+" imports "+imported)
				}
			}
		}
		for _, far := range mustNotReach[name] {
			if slices.Contains(p.Deps, far) {
				arrows = append(arrows, p.ImportPath+" reaches "+far)
			}
		}
	}
	return arrows
}

// within reports whether an import path is folder or lies below it.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func TestImportsPointOneWay(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no go command to list the imports with: %v", err)
	}
	list := exec.Command(goTool, "list", "-json=ImportPath,Imports,Deps", "./...")
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
	for _, room := range slices.Concat(slices.Collect(maps.Keys(mustNot)), slices.Collect(maps.Keys(mustNotReach))) {
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
		{"codec/est", module + "/sign", true},
		{"codec/est", "crypto/sha256", true},
		{"codec/est", "os", true},
		{"codec/est", module + "/codec", false},
		{"engine/masa", "net/http", true},
		{"engine/masa", "net/http/httptest", true},
		{"engine/issue", "github.com/spf13/pflag", true},
		{"engine", module + "/cmd/internal/transport", true},
		{"engine/store", module + "/codec", false},
		{"engine/store", "net/netip", false},
		{"engine/masa", module + "/engine/registrar", true},
		{"engine/registrar", module + "/engine/pledge", true},
		{"engine/pledge", "os/exec", true},
		{"engine/pledge", module + "/engine/artefact", false},
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

func TestWhatADeviceHasNoRoomForIsFound(t *testing.T) {
	for _, c := range []struct {
		from, to string
		back     bool
	}{
		{"engine/pledge", module + "/engine/state", true},
		{"engine/pledge", module + "/engine", true},
		{"cmd/pledge", "github.com/dgraph-io/badger/v4", true},
		{"engine/pledge", module + "/engine/exchange", false},
		{"engine/registrar", module + "/engine/state", false},
	} {
		got := arrowsBack([]listed{{ImportPath: module + "/" + c.from, Imports: []string{"fmt"}, Deps: []string{"fmt", c.to}}})
		if (len(got) == 1) != c.back {
			t.Errorf("%s to %s: found %q, want found = %v", c.from, c.to, got, c.back)
		}
	}
}
