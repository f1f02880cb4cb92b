package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

// built builds a program for the tests that need a process of their own.
func built(t *testing.T, name string) string {
	t.Helper()
	path, err := binaries[name]()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var binaries = map[string]func() (string, error){"masa": building("masa"), "vouchmill": building("vouchmill")}

func building(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(binDir, name)
		out, err := exec.Command("go", "build", "-o", path, "../"+name).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", name, err, out)
		}
		return path, nil
	})
}

var binDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "masa-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binDir = dir
		return m.Run()
	}())
}

// An outcome is what one call of the program did.
type outcome struct {
	code      int
	out, errs string
}

// run runs the program in this process.
func run(args ...string) outcome { return runWith("", args...) }

func runWith(stdin string, args ...string) outcome {
	var out, errs bytes.Buffer
	code := execute(args, strings.NewReader(stdin), &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

// want fails the test unless the call ended with code and said all the texts.
func (o outcome) want(t *testing.T, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %.2000s\nstderr: %.2000s", o.code, code, o.out, o.errs)
	}
	for _, text := range texts {
		if !strings.Contains(o.out, text) && !strings.Contains(o.errs, text) {
			t.Errorf("%q is said nowhere\nstdout: %.2000s\nstderr: %.2000s", text, o.out, o.errs)
		}
	}
	return o
}

// A site is a MASA's directory, and a domain that has devices of its maker.
type site struct {
	t                 *testing.T
	dir, config       string
	factory           *ca.Authority // the demo IDevID CA
	domain            *ca.Authority
	registrar         *entity
	devices           []*entity
	voucherCA, tlsCA  *x509.Certificate
	domainFile, idevs string // files
}

// An entity is a key with its certificate.
type entity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func certificate(t testing.TB, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	certs, err := sign.LoadCertificates(text)
	must(t, err)
	return certs[0]
}

func newSite(t *testing.T) *site {
	t.Helper()
	parent, err := os.MkdirTemp("", "m") // short: the socket's path has a limit
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(parent) })
	s := &site{t: t, dir: filepath.Join(parent, "masa")}
	s.config = filepath.Join(s.dir, "masa.yaml")
	run("init", "--dir", s.dir, "--url", "https://localhost:0", "--demo-idevid-ca", "--cn", "Test MASA").want(t, program.Done, "masa serve")
	s.voucherCA, s.tlsCA = certificate(t, filepath.Join(s.dir, "voucher-ca.pem")), certificate(t, filepath.Join(s.dir, "tls-ca.pem"))
	key, err := sign.LoadKeyFile(filepath.Join(s.dir, "idevid-ca.key"), nil)
	must(t, err)
	s.factory, err = ca.New(certificate(t, filepath.Join(s.dir, "idevid-ca.pem")), key.Key, ca.Options{})
	must(t, err)
	now := time.Now()
	s.domain, err = ca.NewRoot(ca.RootParams{CommonName: "Domain CA", Key: newKey(t), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0)}, ca.Options{})
	must(t, err)
	names, err := ca.ParseServerNames("registrar.example")
	must(t, err)
	s.registrar = &entity{key: newKey(t)}
	s.registrar.cert, err = s.domain.Registrar(ca.EntityParams{CommonName: "Registrar", PublicKey: s.registrar.key.Public(), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), Names: names})
	must(t, err)
	var idevids []*x509.Certificate
	for i := range 3 {
		d := &entity{key: newKey(t)}
		d.cert, err = s.factory.IDevID(ca.IDevIDParams{SerialNumber: fmt.Sprintf("SN-%d", i), PublicKey: d.key.Public(), NotBefore: now.Add(-time.Hour)})
		must(t, err)
		s.devices = append(s.devices, d)
		idevids = append(idevids, d.cert)
	}
	s.domainFile, s.idevs = filepath.Join(parent, "domain-ca.pem"), filepath.Join(parent, "idevids.pem")
	must(t, os.WriteFile(s.domainFile, ca.ChainPEM(s.domain.Certificate()), 0o600))
	must(t, os.WriteFile(s.idevs, ca.ChainPEM(idevids...), 0o600))
	return s
}

// run runs a command on the site.
func (s *site) run(args ...string) outcome { return run(append(args, "--config", s.config)...) }

// A process is a server that runs.
type process struct {
	s    *site
	cmd  *exec.Cmd
	url  string
	log  bytes.Buffer // whole once wait has returned
	http *http.Client
}

func (s *site) serve() *process {
	s.t.Helper()
	p := &process{s: s, cmd: exec.Command(built(s.t, "masa"), "serve", "--config", s.config)}
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, p.cmd.Start())
	s.t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		_ = p.cmd.Wait()
		s.t.Fatalf("%q, %v\n%s", line, err, &p.log)
	}
	p.url = url
	pool := x509.NewCertPool()
	pool.AddCert(s.tlsCA)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	s.t.Cleanup(tr.CloseIdleConnections)
	p.http = &http.Client{Transport: tr}
	return p
}

// end sends a signal and returns the exit code, -1 for a death by it.
func (p *process) end(sig os.Signal) int {
	p.s.t.Helper()
	p.http.CloseIdleConnections()
	must(p.s.t, p.cmd.Process.Signal(sig))
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.s.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) post(path string, body []byte) (int, http.Header, []byte) {
	p.s.t.Helper()
	resp, err := p.http.Post(p.url+path, codec.FormatCMS.MediaType(), bytes.NewReader(body))
	must(p.s.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(p.s.t, err)
	return resp.StatusCode, resp.Header, answer
}

func seal(t *testing.T, q *codec.VoucherRequest, by *entity, more ...*x509.Certificate) []byte {
	t.Helper()
	s, err := sign.NewSigner(sign.ES256, by.key, sign.Options{})
	must(t, err)
	sealer, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: artefact.Signing(s), Chain: append([]*x509.Certificate{by.cert}, more...)})
	must(t, err)
	out, err := sealer.Request(context.Background(), q)
	must(t, err)
	return out
}

// request is what a registrar asks that a device has asked.
func (s *site) request(i int) []byte {
	s.t.Helper()
	d := s.devices[i]
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	facts, err := codec.ParseIDevID(d.cert.Raw)
	must(s.t, err)
	v := codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: time.Now().UTC().Truncate(time.Second), SerialNumber: []byte(d.cert.Subject.SerialNumber), Nonce: nonce}
	prior := seal(s.t, &codec.VoucherRequest{Voucher: v, ProximityRegistrarCert: s.registrar.cert.Raw}, d)
	v.IDevIDIssuer = artefact.IssuerLeaf(facts)
	return seal(s.t, &codec.VoucherRequest{Voucher: v, PriorSignedVoucherRequest: prior}, s.registrar, s.domain.Certificate())
}

const (
	voucherPath = "/.well-known/brski/requestvoucher"
	auditPath   = "/.well-known/brski/requestauditlog"
)

// TestADeviceGetsItsVoucher: init, serve, import while it runs, request, replay
// after a kill, and the same commands when no server runs.
func TestADeviceGetsItsVoucher(t *testing.T) {
	s := newSite(t)
	p := s.serve()
	request := s.request(0)
	if code, h, text := p.post(voucherPath, request); code != http.StatusNotFound || string(text) != "device not known\n" || h.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatalf("before the import: %d %q", code, text)
	}
	s.run("devices", "import", s.idevs, "--progress", "none").want(t, program.Done, "3 rows: 3 new, 0 changed, 0 unchanged, 0 rejected")
	s.run("devices", "import", s.idevs, "--progress", "none", "--json").want(t, program.Done, `{"rows":3,"new":0,"changed":0,"unchanged":3,"rejected":0}`)
	s.run("devices", "import", s.idevs, s.idevs, "--progress", "none").want(t, program.Done, "3 rows: 0 new, 0 changed, 3 unchanged, 0 rejected\n3 rows: 0 new, 0 changed, 3 unchanged, 0 rejected")
	s.run("devices", "import", s.idevs, s.idevs, "--progress", "none", "--rejects", "left.csv").want(t, program.Usage, "it holds the rows of one list")

	code, h, voucher := p.post(voucherPath, request)
	if code != http.StatusOK || h.Get("Content-Type") != codec.FormatCMS.MediaType() {
		t.Fatalf("%d %q", code, voucher)
	}
	s.checkVoucher(voucher, "SN-0")
	if code, _, again := p.post(voucherPath, request); code != http.StatusOK || !bytes.Equal(voucher, again) {
		t.Errorf("the same request: %d, another voucher", code)
	}
	var head headJSON
	must(t, json.Unmarshal([]byte(s.run("log", "head", "--json").want(t, program.Done).out), &head))
	if head.Size != 1 || s.run("log", "head").want(t, program.Done).out != head.Signed {
		t.Errorf("the head of the log is %+v", head)
	}
	code, _, log := p.post(auditPath, request)
	var events struct{ Events []struct{ Assertion string } }
	if err := json.Unmarshal(log, &events); code != http.StatusOK || err != nil || len(events.Events) != 1 || events.Events[0].Assertion != "proximity" {
		t.Errorf("%d %.300s", code, log)
	}
	s.run("status").want(t, program.Done, "proximity", "unknown-device")

	if code := p.end(syscall.SIGKILL); code != -1 {
		t.Errorf("exit code %d", code)
	}
	s.run("devices", "show", "SN-0", "--json").want(t, program.Done, `"vouchers":1`, `"verified":true`)
	s.run("devices", "show", "SN-0").want(t, program.Done, "with its IDevID", "nobody")
	s.run("status").want(t, program.Failed, "no server is running")
	p = s.serve()
	if code, _, again := p.post(voucherPath, request); code != http.StatusOK || !bytes.Equal(voucher, again) {
		t.Errorf("the same request after a kill: %d, another voucher", code)
	}
	if code := p.end(syscall.SIGTERM); code != program.Done {
		t.Errorf("exit code %d\n%s", code, &p.log)
	}
	if !strings.Contains(p.log.String(), "idevid-ca.key") {
		t.Errorf("no warning of the demo CA's key:\n%s", &p.log)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "admin.sock")); err == nil {
		t.Error("the socket was left behind")
	}
}

// checkVoucher checks it as its device would, and by openssl.
func (s *site) checkVoucher(voucher []byte, serial string) {
	s.t.Helper()
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	must(s.t, err)
	opener := artefact.Opener{Verifier: artefact.Verifying(v)}
	got, err := opener.Voucher(context.Background(), codec.FormatCMS, voucher, artefact.Trust{Anchors: []*x509.Certificate{s.voucherCA}, At: time.Now()})
	must(s.t, err)
	if string(got.Leaves.SerialNumber) != serial || !bytes.Equal(got.Leaves.PinnedDomainCert, s.domain.Certificate().Raw) {
		s.t.Errorf("%+v", got.Leaves)
	}
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			s.t.Fatal(err)
		}
		return
	}
	cmd := exec.Command(openssl, "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", "-CAfile", filepath.Join(s.dir, "voucher-ca.pem"))
	cmd.Stdin = bytes.NewReader(voucher)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	payload, err := cmd.Output()
	if err != nil || !strings.Contains(string(payload), `"serial-number":"`+serial+`"`) {
		s.t.Errorf("openssl: %v: %s%s", err, &errs, payload)
	}
}

func TestCommandsWorkWithAndWithoutAServer(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "in-process", true: "server"}[running], func(t *testing.T) {
			s := newSite(t)
			if running {
				s.serve()
			}
			s.run("devices", "import", s.idevs, "--progress", "none").want(t, program.Done, "3 new")
			s.run("devices", "list").want(t, program.Done, "SN-0", "SN-1", "SN-2")
			if lines := strings.Split(strings.TrimSpace(s.run("devices", "list", "--json").want(t, program.Done).out), "\n"); len(lines) != 3 {
				t.Errorf("%d lines", len(lines))
			}
			s.importFormats(t)
			s.run("devices", "block", "SN-1", "--reason", "stolen").want(t, program.Done, "blocked", "/SN-1")
			s.run("devices", "show", "SN-1").want(t, program.Done, "blocked stolen")
			s.run("devices", "unblock", "SN-1").want(t, program.Done, "unblocked")
			s.run("devices", "block", "SN-9").want(t, program.Failed, `no device "SN-9"`)
			s.run("devices", "set", "SN-1", "--exclusive").want(t, program.Done, "set")
			s.run("devices", "release", "SN-1").want(t, program.Done, "released")

			s.run("customers", "add", "acme", "--ca", s.domainFile, "--nonceless", "--max-lifetime", "90d").want(t, program.Done, "added customer acme")
			s.run("customers", "add", "acme", "--ca", s.domainFile).want(t, program.Failed, "acme")
			s.run("customers", "list").want(t, program.Done, "acme", "90d")
			s.run("customers", "block", "acme").want(t, program.Done, "blocked customer acme")
			s.run("customers", "unblock", "acme", "--json").want(t, program.Done, `"name":"acme"`)
			s.run("customers", "block", "nobody").want(t, program.Failed, "nobody")
			runWith("serial-number\nSN-1\nSN-2\n", "devices", "own", "--customer", "acme", "--devices", "-", "--progress", "none", "--config", s.config).want(t, program.Done, "2 changed")
			s.run("devices", "show", "SN-2", "--json").want(t, program.Done, `"owner":"acme"`)
			s.run("pools", "set", "legacy", "--exclusive", "--owner", "acme").want(t, program.Done, "legacy")
			s.run("pools", "list").want(t, program.Done, "legacy", "acme")

			rejects := filepath.Join(filepath.Dir(s.dir), "rejects.csv")
			runWith("serial-number\nSN-1\nSN-7\n", "devices", "own", "--customer", "acme", "--devices", "-", "--progress", "none", "--on-error", "skip", "--rejects", rejects, "--config", s.config).
				want(t, program.Failed, "1 rejected", "rows left out: 1")
			if text, err := os.ReadFile(rejects); err != nil || !strings.Contains(string(text), "SN-7") {
				t.Errorf("%s, %v", text, err)
			}
			runWith("serial-number\nSN-7\n", "devices", "own", "--customer", "acme", "--devices", "-", "--progress", "none", "--config", s.config).want(t, program.Failed, "SN-7")
			s.importRun(t)
		})
	}
}

// importFormats says what the devices read, and takes it back.
func (s *site) importFormats(t *testing.T) {
	t.Helper()
	imported := func(formats string) outcome {
		return s.run("devices", "import", s.idevs, "--voucher-format", formats, "--progress", "none")
	}
	imported("jws").want(t, program.Done, "3 changed")
	s.run("devices", "show", "SN-0", "--json").want(t, program.Done, `"voucher-formats":["jws"]`)
	imported("jws,cms").want(t, program.Done, "3 changed")
	s.run("devices", "show", "SN-0").want(t, program.Done, "vouchers read", "cms, jws")
	s.run("devices", "import", s.idevs, "--progress", "none").want(t, program.Done, "3 unchanged")
	imported("cose").want(t, program.Usage, "cose", "neither cms nor jws")
	imported("all,cms").want(t, program.Usage, "all alone")
	imported("all").want(t, program.Done, "3 changed")
	if out := s.run("devices", "show", "SN-0", "--json").want(t, program.Done).out; strings.Contains(out, "voucher-formats") {
		t.Errorf("all formats are %s", out)
	}
}

// importRun has vouchmill issue vouchers in advance and serves them.
func (s *site) importRun(t *testing.T) {
	t.Helper()
	store := filepath.Join(filepath.Dir(s.dir), "store")
	cmd := exec.Command(built(t, "vouchmill"), "issue", "--store", store, "--devices", s.idevs, "--include-issuer", "--key", filepath.Join(s.dir, "voucher.key"),
		"--cert", filepath.Join(s.dir, "voucher.pem"), "--pin", s.domainFile, "--expires-on", "30d", "--run", "lot", "--progress", "none")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.run("vouchers", "import", "--store", store, "--run", "lot", "--progress", "none").want(t, program.Done, "imported run lot: 3 vouchers")
	s.run("vouchers", "list").want(t, program.Done, "lot", "cms")
	s.run("vouchers", "import", "--store", store, "--run", "lot", "--progress", "none").want(t, program.Failed, "lot")
	s.run("vouchers", "import", "--store", store, "--run", "none", "--progress", "none").want(t, program.Failed, "none")
}

func TestTheTLSCertificateIsReadAgain(t *testing.T) {
	s := newSite(t)
	p := s.serve()
	authority, err := sign.LoadKeyFile(filepath.Join(s.dir, "tls-ca.key"), nil)
	must(t, err)
	a, err := ca.New(s.tlsCA, authority.Key, ca.Options{})
	must(t, err)
	names, err := ca.ParseServerNames("localhost")
	must(t, err)
	key := newKey(t)
	next, err := a.TLSServer(ca.EntityParams{CommonName: "next", PublicKey: key.Public(), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), Names: names})
	must(t, err)
	text, err := sign.MarshalKeyPEM(key, nil)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.dir, "tls.key"), text, 0o600))
	must(t, p.cmd.Process.Signal(syscall.SIGHUP)) // while key and certificate differ: the one before stays
	must(t, os.WriteFile(filepath.Join(s.dir, "tls.pem"), ca.ChainPEM(next), 0o600))
	for serial := ""; serial != next.SerialNumber.String(); { // the signal is handled in the program's own time
		must(t, p.cmd.Process.Signal(syscall.SIGHUP))
		p.http.CloseIdleConnections()
		resp, err := p.http.Get(p.url)
		must(t, err)
		resp.Body.Close()
		serial = resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
}

func TestASecondServerIsToldWhoHoldsTheState(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.serve()
	s.run("serve").want(t, program.IO, fmt.Sprint("process ", p.cmd.Process.Pid))
}

func TestInitMakesADirectoryOnce(t *testing.T) {
	s := newSite(t)
	for name, mode := range map[string]os.FileMode{"masa.yaml": 0o644, "voucher-ca.pem": 0o644, "voucher.pem": 0o644, "voucher.key": 0o600, "tls-ca.pem": 0o644, "tls.pem": 0o644, "tls.key": 0o600,
		"audit.key": 0o600, "idevid-ca.pem": 0o644, "idevid-ca.key": 0o600, "": 0o700} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	server := certificate(t, filepath.Join(s.dir, "tls.pem"))
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := server.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	run("init", "--dir", s.dir, "--url", "https://localhost:0", "--demo-idevid-ca").want(t, program.Usage, "exists")
	again := filepath.Join(filepath.Dir(s.dir), "again")
	for _, tc := range [][]string{
		{"--url", "http://localhost"}, {"--url", "https://localhost/path"}, {"--url", "https://localhost", "--san", "a b"},
		{"--url", "https://localhost", "--voucher-key", "x"}, {"--url", "https://localhost", "--cn", ""},
	} {
		run(append([]string{"init", "--dir", again, "--demo-idevid-ca"}, tc...)...).want(t, program.Usage)
	}
	run("init", "--dir", again, "--url", "https://localhost").want(t, program.Usage, "--idevid-ca")
	if _, err := os.Stat(again); err == nil {
		t.Error("a failed init left a directory")
	}
	// A signer that exists already, and the factory's own authority.
	run("init", "--dir", again, "--url", "https://masa.example:9443", "--san", "10.1.2.3", "--idevid-ca", filepath.Join(s.dir, "idevid-ca.pem"),
		"--voucher-key", filepath.Join(s.dir, "voucher.key"), "--voucher-cert", filepath.Join(s.dir, "voucher.pem")).want(t, program.Done)
	if !certificate(t, filepath.Join(again, "voucher-ca.pem")).Equal(s.voucherCA) {
		t.Error("another voucher CA")
	}
	for _, name := range []string{"masa.example", "10.1.2.3"} {
		if err := certificate(t, filepath.Join(again, "tls.pem")).VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"idevid-ca.key", "voucher.key"} {
		if _, err := os.Stat(filepath.Join(again, name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
	run("devices", "list", "--config", filepath.Join(again, "masa.yaml")).want(t, program.Done)
}

func TestTheConfigurationPrintsItselfAndRefusesMistakes(t *testing.T) {
	s := newSite(t)
	printed := s.run("serve", "--print-config").want(t, program.Done, "idevid-lifetime: check").out
	made, err := os.ReadFile(s.config)
	must(t, err)
	if printed != string(made) {
		t.Errorf("printed:\n%s\nmade:\n%s", printed, made)
	}
	must(t, os.WriteFile(s.config, append(made, "voucher-kye: x\n"...), 0o600))
	s.run("devices", "list").want(t, program.Usage, "did you mean voucher-key?")
	run("devices", "list", "--config", "/nowhere/masa.yaml").want(t, program.Usage, "masa init")
	must(t, os.WriteFile(s.config, append(made, "admin-listen: localhost:1\n"...), 0o600))
	s.run("serve").want(t, program.Usage, "admin-client-ca")
}

func TestMistakesAreExplained(t *testing.T) {
	run("devices").want(t, program.Usage, "sub-command")
	run("devices", "imprt").want(t, program.Usage, "imprt")
	run("serve", "--none").want(t, program.Usage, "--none")
	run("version").want(t, program.Done, "masa ")
}
