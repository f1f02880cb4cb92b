package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

// softToken makes a token of SoftHSM2 and returns the beginning of URIs on it.
// The program is run as a process: the library reads its configuration once.
func softToken(t *testing.T) (uri string) {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing; install softhsm2", what)
		}
		t.Skipf("%s is missing", what)
	}
	tool, err := exec.LookPath("softhsm2-util")
	if err != nil {
		missing("softhsm2-util")
	}
	module := ""
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			module = found[0]
		}
	}
	if module == "" {
		missing("libsofthsm2.so")
	}
	dir := t.TempDir()
	tokens, config := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	t.Setenv(pkcs11.PINEnv, "1234")
	if out, err := exec.Command(tool, "--init-token", "--free", "--label", "factory", "--pin", "1234", "--so-pin", "4321").CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	return "pkcs11:token=factory;object=voucher?module-path=" + module
}

func TestAKeyOnATokenIsMadeMeasuredAndSignsARun(t *testing.T) {
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	uri := softToken(t)
	dir, store := filepath.Join(t.TempDir(), "keys"), freshStore(t)
	vouchmill := func(wantOK bool, args ...string) string {
		t.Helper()
		out, err := exec.Command(path, args...).CombinedOutput()
		if (err == nil) != wantOK {
			t.Fatalf("vouchmill %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	vouchmill(true, "keygen", "--pkcs11", uri, "--out", dir)
	if _, err := os.Stat(filepath.Join(dir, "masa.key")); err == nil {
		t.Error("the key is in a file as well")
	}
	vouchmill(true, "bench-key", "--key", uri, "--for", "10ms")
	devices := file(t, "devices.csv", serials(300))
	issue := issueArgs(store, devices, "--key", uri, "--cert", filepath.Join(dir, "masa.pem"), "--run", "token")
	vouchmill(true, issue...)
	vouchmill(true, "verify", "--store", store, "--trust", filepath.Join(dir, "ca.pem"))
	if text := vouchmill(true, "runs", "show", "token", "--store", store); !strings.Contains(text, `"reproducible": false`) {
		t.Errorf("runs show says %s", text)
	}
	// Refused: a second key of the name, a PIN in the URI, a wrong PIN, another's certificate.
	vouchmill(false, "keygen", "--pkcs11", uri, "--out", filepath.Join(t.TempDir(), "again"))
	vouchmill(false, "bench-key", "--key", uri+"&pin-value=1234", "--for", "10ms")
	vouchmill(false, issueArgs(freshStore(t), devices, "--key", uri)...)
	t.Setenv(pkcs11.PINEnv, "9999")
	if text := vouchmill(false, "bench-key", "--key", uri, "--for", "10ms"); !strings.Contains(text, "CKR_PIN_INCORRECT") {
		t.Errorf("a wrong PIN is answered by %s", text)
	}
}

func TestBenchKeyEstimatesARun(t *testing.T) {
	o := call("bench-key", "--key", shared.key, "--for", "5ms", "--n", "1000", "--json").want(t, exitDone)
	m := members(t, strings.SplitN(o.out, "\n", 2)[0], "batch", "signatures-per-second", "run-seconds")
	rate, run := m["signatures-per-second"].(float64), m["run-seconds"].(float64)
	if rate <= 0 || fmt.Sprintf("%.3g", 1000/rate) != fmt.Sprintf("%.3g", run) {
		t.Errorf("%v signatures a second, %v seconds for 1000", rate, run)
	}
	call("bench-key", "--key", shared.key, "--for", "2h").want(t, exitUsage, "--for")
	call("bench-key", "--key", file(t, "no.key", "nonsense"), "--for", "5ms").want(t, exitUsage)
}
