package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/sign"
)

// run runs the program and returns its exit code and what it printed.
func run(t testing.TB, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = program.Main(newRoot(), args, nil, &o, &e)
	return code, o.String(), e.String()
}

func wants(t testing.TB, code int, args ...string) (out, errs string) {
	t.Helper()
	got, out, errs := run(t, args...)
	if got != code {
		t.Fatalf("pledge %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	return out, errs
}

const serial = "00-D0/E5 2"

// device makes an IDevID and returns the arguments of join.
func (s *site) device(state string) []string {
	s.t.Helper()
	stem := filepath.Join(s.dir, "00-D0%2FE5%202")
	if _, err := os.Stat(stem + ".pem"); err != nil {
		wants(s.t, 0, "idevid", "--ca-cert", s.path("idevid-ca.pem"), "--ca-key", s.path("idevid-ca.key"), "--masa-url", "masa.example:8443", "--serial", serial, "--out", s.dir)
	}
	return []string{"join", "--registrar", s.url, "--idevid", stem + ".pem", "--key", stem + ".key", "--trust", s.path("voucher-ca.pem"), "--state", filepath.Join(s.dir, state)}
}

func TestADeviceOnTheCommandLine(t *testing.T) {
	for _, format := range []string{"cms", "jws"} {
		s := newSite(t)
		join, state := append(s.device("state"), "--format", format), s.path("state")
		out, _ := wants(t, 0, join...)
		if !strings.Contains(out, serial+" joined the domain of https://127.0.0.1:") {
			t.Errorf("%q", out)
		}
		if s.clients["enrollstatus"] != "Domain" || s.clients["simpleenroll"] != "Maker" {
			t.Errorf("asked as %v", s.clients)
		}
		holds(t, state, map[string]string{"cms": "voucher.vcj", "jws": "voucher.vjj"}[format])

		s.answer("requestvoucher", func(w http.ResponseWriter, _ *http.Request) { t.Error("a device that has joined asked for a voucher") })
		out, _ = wants(t, 0, append(join, "--json")...)
		if r := parse(t, out); r.Outcome != "already-joined" || r.SerialNumber != serial {
			t.Errorf("%+v", r)
		}
		s.answer("requestvoucher", nil)

		before := read(t, filepath.Join(state, "ldevid.pem"))
		wants(t, 0, "renew", "--state", state)
		if read(t, filepath.Join(state, "ldevid.pem")) == before || s.clients["simplereenroll"] != "Domain" {
			t.Errorf("not renewed, or as %q", s.clients["simplereenroll"])
		}
		wants(t, 0, "reset", "--state", state)
		if left := must[[]string](t)(filepath.Glob(filepath.Join(state, "[^.]*"))); len(left) != 0 {
			t.Errorf("left after a reset: %v", left)
		}
		wants(t, 1, "renew", "--state", state)
		out, _ = wants(t, 0, append(join, "--json")...)
		if r := parse(t, out); r.Outcome != "joined" || r.Assertion != "proximity" || len(r.Attempts) != 1 || len(r.Attempts[0].Checks) < 10 {
			t.Errorf("%+v", r)
		}
	}
}

func parse(t testing.TB, text string) (r result) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return r
}

func read(t testing.TB, path string) string {
	t.Helper()
	return string(must[[]byte](t)(os.ReadFile(path)))
}

// holds holds that a state directory has its files, for their owner alone, and
// that openssl finds them to belong together.
func holds(t *testing.T, state, voucher string) {
	t.Helper()
	if runtime.GOOS != "windows" {
		if mode := must[os.FileInfo](t)(os.Stat(state)).Mode().Perm(); mode != 0o700 {
			t.Errorf("the directory has mode %v", mode)
		}
		for _, name := range []string{voucher, "ldevid.pem", "ldevid.key", "cacerts.pem", "state.json"} {
			if mode := must[os.FileInfo](t)(os.Stat(filepath.Join(state, name))).Mode().Perm(); mode != 0o600 {
				t.Errorf("%s has mode %v", name, mode)
			}
		}
	}
	openssl(t, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", filepath.Join(state, "cacerts.pem"), filepath.Join(state, "ldevid.pem"))
	if a, b := openssl(t, "pkey", "-in", filepath.Join(state, "ldevid.key"), "-pubout"), openssl(t, "x509", "-in", filepath.Join(state, "ldevid.pem"), "-pubkey", "-noout"); a != b {
		t.Errorf("the key %s is not that of the certificate %s", a, b)
	}
}

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	tool, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no openssl here")
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if err != nil {
		t.Errorf("openssl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestExitCodes(t *testing.T) {
	s := newSite(t)
	join := s.device("state")
	other := newSite(t)
	plain := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(code)
			fmt.Fprint(w, "\x1b[2Jnot you\n")
		}
	}
	s.answer("requestvoucher", plain(404))
	_, errs := wants(t, 1, join...)
	if !strings.Contains(errs, "FAIL requestvoucher") || !strings.Contains(errs, "registrar devices explain") || strings.Contains(errs, "\x1b") {
		t.Errorf("%q", errs)
	}
	out, _ := wants(t, 1, append(join, "--json")...)
	if r := parse(t, out); r.Outcome != "refused" || r.Attempts[0].Checks[0].Kind != "registrar-refused" {
		t.Errorf("%+v", r)
	}
	s.answer("requestvoucher", plain(202))
	out, _ = wants(t, 4, append(join, "--timeout", "2s", "--json")...)
	if r := parse(t, out); r.Outcome != "undecided" || !r.Attempts[0].Pending {
		t.Errorf("%+v", r)
	}
	s.answer("requestvoucher", nil)
	if _, errs := wants(t, 1, with(join, "--trust", other.path("voucher-ca.pem"))...); !strings.Contains(errs, "see that --trust holds") {
		t.Errorf("%q", errs)
	}
	if _, errs := wants(t, 3, with(join, "--registrar", "https://127.0.0.1:1")...); !strings.Contains(errs, "see that a registrar runs there") {
		t.Errorf("%q", errs)
	}
	wants(t, 3, with(join, "--key", s.path("no-such-file"))...)
	wants(t, 3, with(join, "--idevid", s.path("no-such-file"))...)
	wants(t, 3, with(join, "--state", join[len(join)-5]+"/below-a-file")...)
	wants(t, 3, "renew", "--state", s.path("not-there"))
	wants(t, 3, "reset", "--state", s.path("not-there"))
	for _, args := range [][]string{{"join"}, {"nothing"}, append(join, "--format", "cose"), append(join, "--timeout", "-1s"), append(join, "--label", "cacerts"),
		with(join, "--registrar", "http://127.0.0.1"), with(join, "--key", other.path("idevid-ca.key")), with(join, "--idevid", s.path("idevid-ca.key")), append(join, "more"), {"renew"}, {"reset"}} {
		wants(t, 2, args...)
	}
}

// with replaces the value of a flag.
func with(args []string, flag, value string) []string {
	changed := append([]string(nil), args...)
	for i := range changed {
		if changed[i] == flag {
			changed[i+1] = value
		}
	}
	return changed
}

func TestManyIDevIDs(t *testing.T) {
	s := newSite(t)
	dir := filepath.Join(t.TempDir(), "a", "devices")
	args := []string{"idevid", "--ca-cert", s.path("idevid-ca.pem"), "--ca-key", s.path("idevid-ca.key"), "--masa-url", "masa.example", "--n", "10", "--prefix", "dev-", "--out", dir, "--json"}
	out, _ := wants(t, 0, args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 10 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines {
		var d device
		if err := json.Unmarshal([]byte(line), &d); err != nil || d.SerialNumber != fmt.Sprintf("dev-%02d", i+1) {
			t.Errorf("line %d: %s, %v", i, line, err)
		}
		if info := must[os.FileInfo](t)(os.Stat(d.Key)); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", d.Key, info.Mode())
		}
		facts := must[*codec.IDevID](t)(codec.ParseIDevID(certificateOf(t, d.Certificate)))
		if got := must[[]byte](t)(facts.Serial(codec.SerialFromSubject)); string(got) != d.SerialNumber || facts.MASAURL != "masa.example" || !facts.NeverExpires {
			t.Errorf("%s: %q at %q", d.Certificate, got, facts.MASAURL)
		}
	}
	openssl(t, "verify", "-CAfile", s.path("idevid-ca.pem"), filepath.Join(dir, "dev-01.pem"))
	before := read(t, filepath.Join(dir, "dev-01.key"))
	if _, errs := wants(t, 2, args...); !strings.Contains(errs, "never overwritten") || read(t, filepath.Join(dir, "dev-01.key")) != before {
		t.Errorf("%q", errs)
	}
	for flag, value := range map[string]string{"--n": "0", "--masa-url": "http://x", "--prefix": strings.Repeat("x", 80), "--ca-key": filepath.Join(dir, "dev-01.key"), "--ca-cert": filepath.Join(dir, "dev-01.pem")} {
		wants(t, 2, with(with(args, "--out", t.TempDir()), flag, value)...)
	}
	wants(t, 2, append(args, "--serial", "x")...)
}

func certificateOf(t testing.TB, path string) []byte {
	t.Helper()
	return must[[]*x509.Certificate](t)(readCertificates("", path, sign.LoadChain))[0].Raw
}

// The files of a device are named as its vouchers are in a bundle.
func TestFileNamesAreThoseOfBundles(t *testing.T) {
	for _, s := range []string{serial, "CON", ".hidden", "-o", strings.Repeat("ü", 120)} {
		name := string(bundle.AppendName(nil, []byte(s), nil, codec.FormatJWS))
		if got := fileStem(s); got+codec.FormatJWS.Extension() != name || strings.ContainsAny(got, `/\ `) {
			t.Errorf("%q: %q, %q", s, got, name)
		}
	}
}
