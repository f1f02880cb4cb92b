package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/registrar"
)

func TestInitMakesWhatServeNeeds(t *testing.T) {
	f := newFactory(t, "Example Devices CA")
	h := newHome(t, "--san", "registrar.example.com", "--san", "192.0.2.7", "--manufacturer", f.file, "--masa-url", "masa.example.com", "--admit", "ask")
	for name, mode := range map[string]fs.FileMode{".": 0o700, "state": 0o700, fileCAKey: 0o600, fileKey: 0o600, fileCA: 0o644, fileCertificate: 0o644, fileConfig: 0o644} {
		info, err := os.Stat(filepath.Join(h.dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	domain, own := certificateIn(t, filepath.Join(h.dir, fileCA)), certificateIn(t, filepath.Join(h.dir, fileCertificate))
	if years := time.Until(domain.NotAfter).Hours() / 24 / 365.25; years < 19.9 || years > 20.1 || own.CheckSignatureFrom(domain) != nil {
		t.Errorf("the domain CA lives %.1f years", years)
	}
	names := append([]string{}, own.DNSNames...)
	for _, ip := range own.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "registrar.example.com", "192.0.2.7"} {
		if !slices.Contains(names, name) {
			t.Errorf("the registrar's certificate lacks %s: %v", name, names)
		}
	}
	if len(own.SubjectKeyId) == 0 || len(own.UnknownExtKeyUsage) != 1 || own.UnknownExtKeyUsage[0].String() != "1.3.6.1.5.5.7.3.28" ||
		!slices.Contains(own.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || !slices.Contains(own.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		t.Errorf("key usages %v, %v", own.ExtKeyUsage, own.UnknownExtKeyUsage)
	}
	s, err := load(h.config)
	if err != nil || s.admit != "ask" || s.state != filepath.Join(h.dir, "state") {
		t.Errorf("%+v, %v", s, err)
	}
	h.call("manufacturers").want(t, 0, "Example Devices CA", "masa.example.com", "the system's", "any")
	call("init", "--dir", h.dir, "--url", "https://localhost").want(t, program.Usage, "exists already")
}

func TestInitRefusesNonsenseAndLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "d")
	f := newFactory(t, "x")
	notCA := filepath.Join(t.TempDir(), "device.pem")
	if err := os.WriteFile(notCA, ca.ChainPEM(f.device(t, "S").Leaf), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"plain http":                {"--url", "http://localhost"},
		"a path":                    {"--url", "https://localhost/x"},
		"no url":                    {},
		"unknown admission":         {"--url", "https://localhost", "--admit", "all"},
		"a bad name":                {"--url", "https://localhost", "--san", "a b"},
		"trust without CA":          {"--url", "https://localhost", "--masa-trust", f.file},
		"a device as CA":            {"--url", "https://localhost", "--manufacturer", notCA},
		"a file that is not":        {"--url", "https://localhost", "--manufacturer", filepath.Join(parent, "none")},
		"an audit key that is none": {"--url", "https://localhost", "--manufacturer", f.file, "--audit-key", notCA},
		"an audit key of nobody":    {"--url", "https://localhost", "--audit-key", notCA},
		"a bad MASA URL":            {"--url", "https://localhost", "--manufacturer", f.file, "--masa-url", "http://x/"},
	} {
		if o := call(append([]string{"init", "--dir", dir}, args...)...); o.code != program.Usage && o.code != program.IO {
			t.Errorf("%s: exit code %d\n%s%s", name, o.code, o.out, o.errs)
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestServeAnswersESTAndTheAdminAPI(t *testing.T) {
	h := newHome(t)
	h.set(t, "labels: [floor-2]\n")
	p := start(t, "serve", "--config", h.config)
	c := client(t, nil)
	for _, label := range []string{"", "floor-2/"} {
		status, kind, body := ask(t, c, "GET", p.at+"/.well-known/est/"+label+"cacerts", "", nil)
		der, err := est.DecodeBody(nil, body)
		if err != nil {
			t.Fatalf("cacerts: %d %s %q: %v", status, kind, body, err)
		}
		certs, err := est.ParseCertsOnly(der, est.Limits{})
		if err != nil || len(certs) != 1 || !bytes.Equal(certs[0], certificateIn(t, filepath.Join(h.dir, fileCA)).Raw) || status != 200 || !strings.HasPrefix(kind, "application/pkcs7-mime") {
			t.Errorf("cacerts: %d %s, %d certificates, %v", status, kind, len(certs), err)
		}
		status, kind, body = ask(t, c, "GET", p.at+"/.well-known/est/"+label+"csrattrs", "", nil)
		if der, err = est.DecodeBody(nil, body); err == nil {
			_, err = est.ParseCSRAttrs(der, est.Limits{})
		}
		if status != 200 || kind != "application/csrattrs" || err != nil {
			t.Errorf("csrattrs: %d %s, %v", status, kind, err)
		}
	}
	for path, want := range map[string]int{"/.well-known/est/floor-3/cacerts": 404, "/": 404, "/.well-known/est/serverkeygen": 404, "/.well-known/est/fullcmc": 404} {
		if status, _, body := ask(t, c, "GET", p.at+path, "", nil); status != want {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, _, _ := ask(t, c, "POST", p.at+"/.well-known/brski/requestvoucher", "application/voucher-cms+json", []byte("x")); status != 401 {
		t.Errorf("requestvoucher without a certificate: %d", status)
	}
	status, kind, body := ask(t, c, "GET", p.at+pathCRL, "", nil)
	list, err := x509.ParseRevocationList(body)
	if err == nil {
		err = list.CheckSignatureFrom(certificateIn(t, filepath.Join(h.dir, fileCA)))
	}
	if status != 200 || kind != "application/pkix-crl" || err != nil {
		t.Errorf("the revocation list: %d %s %v", status, kind, err)
	}

	// The same commands, with a server and without, see and do the same.
	f := newFactory(t, "Maker One")
	h.call("manufacturers", "add", "maker one", "--idevid-ca", f.file, "--serial-from", "hwSerialNum").want(t, 0, "is known now", "--voucher-trust")
	callWith("serial-number\nSN-1\nSN-2\n", "devices", "import", "-", "--config", h.config).want(t, 0, "2 devices added")
	h.call("devices", "refuse", "SN-2").want(t, 0, "refused")
	listing := h.call("devices", "list").want(t, 0, "SN-1", "SN-2", "listed", "refused").out
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.errs)
	}
	if _, err := os.Stat(filepath.Join(h.dir, fileSocket)); err == nil {
		t.Error("the socket is still there")
	}
	if got := h.call("devices", "list").out; got != listing {
		t.Errorf("without a server:\n%swith one:\n%s", got, listing)
	}
	h.call("manufacturers", "list").want(t, 0, "maker one", "hw-module-name")
	callWith("serial-number\nSN-1\nSN-3\n", "devices", "import", "-", "--manufacturer", "maker one", "--config", h.config).want(t, 0, "1 devices added, 1 changed, 0 there before")
	h.call("devices", "show", "SN-3").want(t, 0, "maker one")
	callWith("serial-number\nSN-1\n", "devices", "import", "-", "--manufacturer", "maker two", "--config", h.config).want(t, program.Failed, "no manufacturer has the name", "maker two")
	h.call("devices", "approve", "SN-2").want(t, 0, "approved")
	callWith("serial-number\nSN-1\nSN-2\n", "devices", "import", "-", "--config", h.config).want(t, 0, "0 devices added, 2 there before")
}

func TestAKilledServerLosesNothing(t *testing.T) {
	h := newHome(t)
	p := start(t, "serve", "--config", h.config)
	callWith("serial-number\nSN-1\n", "devices", "import", "-", "--config", h.config).want(t, 0, "1 devices added")
	h.call("devices", "refuse", "SN-1").want(t, 0)
	p.kill()
	again := start(t, "serve", "--config", h.config)
	h.call("devices", "list").want(t, 0, "SN-1", "refused")
	if code := again.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, again.errs)
	}
}

func TestASecondServerIsRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := start(t, "serve", "--config", h.config)
	second := exec.Command(binary(t, "registrar"), "serve", "--config", h.config)
	text, err := second.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != program.IO || !strings.Contains(string(text), fmt.Sprint(p.cmd.Process.Pid)) {
		t.Errorf("%v\n%s", err, text)
	}
	h.call("devices").want(t, 0)
}

func TestExplainShowsEveryCheckAndTheRemedy(t *testing.T) {
	f := newFactory(t, "Maker")
	h := newHome(t, "--manufacturer", f.file)
	p := start(t, "serve", "--config", h.config)
	post := func(identity *tls.Certificate) int {
		status, _, _ := ask(t, client(t, identity), "POST", p.at+"/.well-known/brski/requestvoucher", "application/voucher-cms+json", []byte{0x30, 0x03, 1, 2, 3})
		return status
	}
	if status := post(f.device(t, "KNOWN-1")); status != 400 {
		t.Errorf("a request that cannot be read: %d", status)
	}
	if status := post(impostor(t, "EVIL\x1b[2J")); status != 403 {
		t.Errorf("a device of a manufacturer that is not listed: %d", status)
	}
	h.call("devices", "explain", "KNOWN-1").want(t, 0, "manufacturer Maker", "requestvoucher: malformed", "ok   client-certificate", "ok   content-type", "FAIL envelope")
	o := h.call("devices", "explain").want(t, 0, "unidentified: requestvoucher: unknown-manufacturer", "FAIL client-certificate",
		"remedy: registrar manufacturers add NAME --idevid-ca FILE --config "+h.config)
	if strings.ContainsRune(o.out, 0x1b) {
		t.Error("a stranger's text reaches the terminal as it is")
	}
	var x registrar.Explanation
	if err := json.Unmarshal([]byte(h.call("devices", "explain", "KNOWN-1", "--json").out), &x); err != nil || len(x.Attempts) != 1 || len(x.Attempts[0].Checks) < 3 {
		t.Errorf("%+v, %v", x, err)
	}
	callWith("serial-number\nLATER-1\n", "devices", "import", "-", "--config", h.config).want(t, 0)
	h.call("devices", "explain", "LATER-1").want(t, 0, "listed", "no attempts")
	h.call("devices", "explain", "NOBODY").want(t, program.Failed, "NOBODY")
	if !strings.Contains(p.errs.String(), "kind=unknown-manufacturer") {
		t.Errorf("the log does not say it:\n%s", p.errs)
	}
}

func TestListingsPage(t *testing.T) {
	h := newHome(t)
	var list strings.Builder
	list.WriteString("serial-number\n")
	for i := range 257 {
		fmt.Fprintf(&list, "SN-%04d\n", i)
	}
	callWith(list.String(), "devices", "import", "-", "--config", h.config, "--progress", "none").want(t, 0, "257 devices added")
	lines := strings.Split(strings.TrimSpace(h.call("devices", "list").want(t, 0).out), "\n")
	if len(lines) != 258 || !strings.HasPrefix(lines[257], "SN-0256") {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	objects := strings.Split(strings.TrimSpace(h.call("devices", "list", "--json").want(t, 0).out), "\n")
	var d registrar.DeviceInfo
	if err := json.Unmarshal([]byte(objects[256]), &d); err != nil || d.Serial != "SN-0256" || len(objects) != 257 {
		t.Errorf("%+v, %v, %d objects", d, err, len(objects))
	}
}

func TestBadRowsStopOrAreWrittenDown(t *testing.T) {
	f, other := newFactory(t, "Maker"), newFactory(t, "Other")
	h := newHome(t, "--manufacturer", f.file)
	var bundle []byte
	for _, c := range []*tls.Certificate{f.device(t, "A"), other.device(t, "B"), f.device(t, "C")} {
		bundle = append(bundle, ca.ChainPEM(c.Leaf)...)
	}
	file, rejects := filepath.Join(t.TempDir(), "d.pem"), filepath.Join(t.TempDir(), "rejects.csv")
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	h.call("devices", "import", file, "--progress", "none").want(t, program.Failed, "certificate 2", "registrar manufacturers add")
	if listing := h.call("devices").want(t, 0).out; !strings.Contains(listing, "/A ") || strings.Contains(listing, "/C ") {
		t.Errorf("listed after the import ended at B:\n%s", listing)
	}
	h.call("devices", "import", file, "--progress", "none", "--on-error", "skip", "--rejects", rejects).want(t, program.Failed, "3 rows", "1 rejected")
	text, err := os.ReadFile(rejects)
	if err != nil || strings.Count(string(text), "\n") < 2 || !strings.Contains(string(text), "registrar manufacturers add") {
		t.Errorf("%v:\n%s", err, text)
	}
	listing := h.call("devices").want(t, 0).out
	if !strings.Contains(listing, "/A ") || !strings.Contains(listing, "/C ") || strings.Contains(listing, "/B ") {
		t.Errorf("listed:\n%s", listing)
	}
}

func TestCertificatesAreRevokedBySerialNumber(t *testing.T) {
	h := newHome(t)
	h.call("certificates", "revoke", "0123").want(t, program.Failed, "no certificate")
	h.call("certificates", "revoke", "xyz").want(t, program.Usage, "hexadecimal")
	h.call("certificates", "revoke", "0123", "--reason", "boredom").want(t, program.Usage, "keyCompromise")
	h.call("certificates", "list", "SN").want(t, program.Failed)
	out := filepath.Join(t.TempDir(), "crl.pem")
	h.call("certificates", "crl", "--out", out).want(t, 0)
	if openssl, err := exec.LookPath("openssl"); err == nil {
		text, err := exec.Command(openssl, "crl", "-in", out, "-CAfile", filepath.Join(h.dir, fileCA), "-noout").CombinedOutput()
		if err != nil || !strings.Contains(string(text), "OK") {
			t.Errorf("%v\n%s", err, text)
		}
	} else if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
}

func TestEveryKeyOfTheConfigurationIsPrintedAndLoads(t *testing.T) {
	h := newHome(t)
	text := h.call("serve", "--print-config").want(t, 0, "# which devices may join").out
	for _, key := range new(settings).table().Keys() {
		if !strings.Contains(text, key.Name+":") || key.Meaning == "" || key.Values == "" {
			t.Errorf("%s is not described", key.Name)
		}
	}
	if err := os.WriteFile(h.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := load(h.config)
	if err != nil {
		t.Fatal(err)
	}
	if first.url != "https://localhost:0" || first.maxExchanges != 256 {
		t.Errorf("%+v", first)
	}
	call("serve", "--print-config").want(t, 0, "admit: list")
	h.set(t, "admitt: ask\n")
	h.call("devices").want(t, program.Usage, "did you mean admit?")
}

func TestSettingsThatCannotBeServed(t *testing.T) {
	for lines, text := range map[string]string{
		"known-domains: [abc]\n":               "known-domains",
		"admin-listen: localhost:0\n":          "admin-client-ca",
		"certificate-keys: [P-257]\n":          "P-257",
		"crl-urls: [ftp://x/]\n":               "ftp",
		"labels: [cacerts]\n":                  "cacerts",
		"announce: true\nannounce-name: a.b\n": "announce-name",
		"listen: [no-port]\n":                  "no-port",
		"masa-hosts: [a/b]\n":                  "masa-hosts",
	} {
		h := newHome(t)
		h.set(t, lines)
		if o := h.call("serve"); o.code != program.Usage && o.code != program.IO || !strings.Contains(o.errs, text) {
			t.Errorf("%q: exit code %d: %s", lines, o.code, o.errs)
		}
	}
}

func TestAdmittingAllIsWarnedAbout(t *testing.T) {
	p := start(t, "serve", "--config", newHome(t, "--admit", "manufacturer").config)
	if !strings.Contains(p.errs.String(), "level=WARN") || !strings.Contains(p.errs.String(), "event=admit-manufacturer") {
		t.Errorf("log:\n%s", p.errs)
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	h := newHome(t)
	h.set(t, "log-level: debug\nlog-format: json\n")
	p := start(t, "serve", "--config", h.config)
	ask(t, client(t, nil), "GET", p.at+"/.well-known/est/cacerts", "", nil)
	p.stop(t)
	for _, name := range []string{fileKey, fileCAKey} {
		text, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Split(string(text), "\n")[1]
		if strings.Contains(p.errs.String(), body) {
			t.Errorf("%s is in the log", name)
		}
	}
	for line := range strings.Lines(p.errs.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
}

func TestDomainIDsAreReadInBothForms(t *testing.T) {
	id := bytes.Repeat([]byte{0xab}, 20)
	for _, text := range []string{fmt.Sprintf("%x", id), base64.StdEncoding.EncodeToString(id)} {
		if got, err := parseDomainID(text); err != nil || !bytes.Equal(got, id) {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
	if _, err := parseDomainID("abcd"); err == nil {
		t.Error("two octets are a domainID")
	}
}

func TestNamesOfADomainFit(t *testing.T) {
	for _, name := range []string{"a", strings.Repeat("a", 64), strings.Repeat("ü", 100)} {
		if got := commonName(name, " registrar"); len([]rune(got)) > 64 || !strings.HasSuffix(got, " registrar") {
			t.Errorf("%q", got)
		}
	}
	call("init", "--dir", filepath.Join(t.TempDir(), "d"), "--url", "https://localhost", "--cn", strings.Repeat("ü", 100)).want(t, 0)
}

// A registrar that others can reach announces itself, one of this machine alone
// does not.
func TestInitAnnouncesWhatOthersCanReach(t *testing.T) {
	for url, want := range map[string]string{"https://localhost:8443": "\nannounce: false\n", "https://127.0.0.1": "\nannounce: false\n",
		"https://registrar.example.com": "\nannounce: true\n", "https://192.0.2.1:8443": "\nannounce: true\n"} {
		dir := filepath.Join(t.TempDir(), "r")
		call("init", "--dir", dir, "--url", url, "--san", "localhost").want(t, program.Done)
		text, err := os.ReadFile(filepath.Join(dir, "registrar.yaml"))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: no %q in the configuration, %v", url, want, err)
		}
	}
}
