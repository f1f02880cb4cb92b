package client_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A device maker who imports this package gets no database, no command line, no
// discovery and no signing pipeline with it.
func TestWhatADeviceImports(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no go command to list the imports with: %v", err)
	}
	list := exec.Command(goTool, "list", "-deps", ".")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	const module = "github.com/vouchmill/vouchmill"
	allowed := map[string]bool{}
	for _, name := range []string{"/cmd/pledge/client", "/codec", "/codec/est", "/codec/internal/der", "/engine/artefact", "/engine/ca", "/engine/decision",
		"/engine/exchange", "/engine/pledge", "/sign", "/sign/internal/cpu512", "/sign/sha256x16", "/sign/wide"} {
		allowed[module+name] = true
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("go list names %d packages", len(deps))
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, module) && !allowed[dep] {
			t.Errorf("%s is pulled in: if a device needs it, add it here", dep)
		}
		for _, unwanted := range []string{"badger", "cobra", "pflag", "mdns", "miekg", "pkcs11", "crypto11", "yaml", "protobuf"} {
			if strings.Contains(dep, unwanted) {
				t.Errorf("%s is pulled in", dep)
			}
		}
	}
}
