package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verifyArgs is a verify command that says nothing while it works.
func verifyArgs(more ...string) []string {
	return append([]string{"verify", "--trust", shared.ca, "--progress", "none"}, more...)
}

func TestVerifyChecksWhatIsExpectedAndSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, "serial-number,idevid-issuer\nA,"+issuerA+"\nB,"+issuerA+"\n", "--run", "lot", "--include-issuer", "--created-on", "2026-11-01T00:00:00Z")
	call(verifyArgs("--store", store)...).want(t, exitDone, "2 vouchers: 2 passed, 0 failed, 0 missing", "manifest of ", "holds")
	for name, c := range map[string]struct {
		args []string
		code int
		say  []string
	}{
		"all expected":      {[]string{"--serials", file(t, "d.csv", "serial-number\nA\nB\n"), "--pin", shared.pin, "--idevid-issuer", issuerA, "--run", "lot"}, exitDone, []string{"2 passed"}},
		"device missing":    {[]string{"--serials", file(t, "d.csv", "serial-number\nA\nB\nC\n")}, exitFailed, []string{"C", "1 missing"}},
		"device too many":   {[]string{"--serials", file(t, "d.csv", "serial-number\nA\n")}, exitFailed, []string{"B", "1 failed"}},
		"list of nothing":   {[]string{"--serials", file(t, "d.csv", "")}, exitUsage, []string{"--serials", "empty"}},
		"other pin":         {[]string{"--pin", shared.ca}, exitFailed, []string{"pin", "2 failed"}},
		"other issuer":      {[]string{"--idevid-issuer", issuerB}, exitFailed, []string{"issuer", "2 failed"}},
		"not an issuer":     {[]string{"--idevid-issuer", "zz"}, exitUsage, []string{"--idevid-issuer"}},
		"expired":           {[]string{"--at", "2028-01-01T00:00:00Z"}, exitFailed, []string{"2028", "2 failed"}},
		"chain expired":     {[]string{"--at", "2060-01-01T00:00:00Z"}, exitFailed, []string{"2 failed"}},
		"not a time":        {[]string{"--at", "noon"}, exitUsage, []string{"--at", "noon"}},
		"no such authority": {[]string{"--trust", "none.pem"}, exitIO, []string{"--trust", "none.pem"}},
		"no such run":       {[]string{"--run", "none"}, exitUsage, []string{"none"}},
		"files too":         {[]string{"some.vcj"}, exitUsage, []string{"either --store or files"}},
	} {
		t.Run(name, func(t *testing.T) {
			call(verifyArgs(append(c.args, "--store", store)...)...).want(t, c.code, c.say...)
		})
	}
	call(verifyArgs()...).want(t, exitUsage, "either --store or files")
	call(verifyArgs("--run", "lot", "some.vcj")...).want(t, exitUsage, "--store")
	call("verify", "--store", store).want(t, exitUsage, "trust")
	call(verifyArgs(filepath.Join(t.TempDir(), "none.tar"))...).want(t, exitIO, "none.tar")
}

func TestVerifyTakesAMixOfFilesAndNamesTheBadOnes(t *testing.T) {
	t.Parallel()
	store, dir := freshStore(t), t.TempDir()
	for _, format := range []string{"cms", "jws", "cose"} {
		issueTo(t, store, serials(3), "--run", format, "--format", format)
		voucher := call("get", "--store", store, "--run", format, "--serial", "SN-000001").want(t, exitDone).out
		if err := os.WriteFile(filepath.Join(dir, "good."+format), []byte(voucher), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	call(verifyArgs(dir)...).want(t, exitDone, "3 vouchers: 3 passed")
	good := read(t, filepath.Join(dir, "good.cms"))
	for name, bad := range map[string]string{"cut": good[:len(good)/2], "tail": good + "x", "random": "\x00\xFFnothing", "deep": strings.Repeat("[", 10_000)} {
		if err := os.WriteFile(filepath.Join(dir, "bad."+name), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := call(verifyArgs(dir)...).want(t, exitFailed, "3 passed", "4 failed", "bad.cut", "bad.tail", "bad.random", "bad.deep")
	call(verifyArgs(file(t, "nothing.vcj", ""))...).want(t, exitFailed, "nothing.vcj", "empty")
	if strings.Contains(o.out, "good.") {
		t.Errorf("a good voucher is named among the failures: %s", o.out)
	}
}

func TestVerifyReportsFailuresAsJSONLines(t *testing.T) {
	t.Parallel()
	store := freshStore(t)
	issueTo(t, store, serials(2), "--run", "lot")
	o := call("verify", "--trust", shared.pin, "--store", store, "--progress", "none", "--json").want(t, exitFailed)
	lines := strings.Split(strings.TrimSpace(o.out), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}") {
			t.Errorf("line %d is not an object: %s", i+1, line)
		}
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, `"failed":2`) || !strings.Contains(last, `"checks":[`) {
		t.Errorf("the report is %s", last)
	}
}

func TestDemoIssuesAndVerifiesAll(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	call("demo", "--n", "700", "--format", "cose", "--dir", dir).want(t, exitDone, "issued    700 cose vouchers", "verified  700 of 700", "crypto/ecdsa")
	call("runs", "--store", filepath.Join(dir, "store"), "--json").want(t, exitDone, `"vouchers":700`)
	call("demo", "--n", "700", "--dir", dir).want(t, exitUsage, "never overwritten")
	call("demo", "--n", "0").want(t, exitUsage, "--n 0")
	call("demo", "--format", "pgp").want(t, exitUsage, "--format")
}
