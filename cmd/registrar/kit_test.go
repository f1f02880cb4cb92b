package main

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

// binaries are where the programs of this test are built.
var binaries = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "registrar-test-") })

// built builds a program of this module, for the tests that need processes.
func built(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := binaries()
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		out, err := exec.Command("go", "build", "-o", path, "../"+name).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return path, nil
	})
}

var programs = map[string]func() (string, error){"registrar": built("registrar"), "masa": built("masa"), "pledge": built("pledge")}

func binary(t testing.TB, name string) string {
	t.Helper()
	path, err := programs[name]()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaries(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// An outcome is what one call of the program did.
type outcome struct {
	code      int
	out, errs string
}

// call runs the program in this process.
func call(args ...string) outcome { return callWith("", args...) }

func callWith(stdin string, args ...string) outcome {
	var out, errs bytes.Buffer
	code := program.Main(newRoot(), args, strings.NewReader(stdin), &out, &errs)
	return outcome{code, out.String(), errs.String()}
}

// want fails the test unless the call ended with code and what it said has all
// the texts.
func (o outcome) want(t *testing.T, code int, texts ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", o.code, code, o.out, o.errs)
	}
	for _, text := range texts {
		if !strings.Contains(o.out+o.errs, text) {
			t.Errorf("nothing says %q:\n%s%s", text, o.out, o.errs)
		}
	}
	return o
}

// shortDir is a directory whose path leaves room for a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "r")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A home is a registrar's directory.
type home struct{ dir, config string }

func newHome(t testing.TB, args ...string) *home {
	t.Helper()
	dir := filepath.Join(shortDir(t), "d")
	if o := call(append([]string{"init", "--dir", dir, "--url", "https://localhost:0"}, args...)...); o.code != program.Done {
		t.Fatalf("init: exit code %d: %s", o.code, o.errs)
	}
	return &home{dir, filepath.Join(dir, fileConfig)}
}

func (h *home) call(args ...string) outcome { return call(append(args, "--config", h.config)...) }

// set puts keys of one line each into the configuration, in place of what it
// says of them.
func (h *home) set(t *testing.T, lines string) {
	t.Helper()
	text, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	kept, dropping := lines, false
	for line := range strings.Lines(string(text)) {
		if dropping = dropping && strings.HasPrefix(line, "  "); dropping {
			continue
		}
		key, _, _ := strings.Cut(line, ":")
		if dropping = key != "" && slices.ContainsFunc(strings.Split(lines, "\n"), func(l string) bool { return strings.HasPrefix(l, key+":") }); !dropping {
			kept += line
		}
	}
	if err := os.WriteFile(h.config, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A process is the program at work.
type process struct {
	cmd  *exec.Cmd
	at   string // what followed "ready"
	errs *lockedBuffer
	done chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs the registrar until it says that it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startProgram(t, "registrar", args...)
}

func startProgram(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary(t, name), args...), errs: new(lockedBuffer), done: make(chan error, 1)}
	p.cmd.Stderr = p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { p.kill() })
	var ok bool
	if p.at, ok = strings.CutPrefix(strings.TrimSpace(line), "ready "); !ok {
		p.kill()
		t.Fatalf("it said %q, %v\n%s", line, err, p.errs)
	}
	return p
}

// kill ends the process at once.
func (p *process) kill() {
	if p.cmd.Process.Signal(syscall.SIGKILL) == nil {
		p.done <- <-p.done
	}
}

// stop asks the process to end and returns its exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := <-p.done
	p.done <- err
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// client is an HTTP client for a registrar that it does not know: one without
// SNI, as a pledge's is.
func client(t *testing.T, identity *tls.Certificate) *http.Client {
	cfg := &tls.Config{InsecureSkipVerify: true}
	if identity != nil {
		cfg.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(r.AcceptableCAs) > 0 {
				t.Errorf("the registrar names %d authorities for client certificates", len(r.AcceptableCAs))
			}
			return identity, nil
		}
	}
	tr := &http.Transport{TLSClientConfig: cfg, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// ask makes a request and returns status and body.
func ask(t *testing.T, c *http.Client, method, url, contentType string, body []byte) (int, string, []byte) {
	t.Helper()
	r, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), text
}

// A factory makes devices.
type factory struct {
	*ca.Authority
	file string // its certificate
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newFactory(t testing.TB, name string) *factory {
	t.Helper()
	a, err := ca.NewRoot(ca.RootParams{CommonName: name, Key: newKey(t), NotBefore: time.Now().Add(-time.Hour), NotAfter: ca.NoExpiry()}, ca.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &factory{a, filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(f.file, ca.ChainPEM(a.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *factory) device(t testing.TB, serial string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	c, err := f.IDevID(ca.IDevIDParams{SerialNumber: serial, PublicKey: key.Public(), NotBefore: time.Now().Add(-time.Hour), MASAURL: "masa.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// impostor is a self-signed certificate that claims to be a device's.
func impostor(t *testing.T, serial string) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{SerialNumber: serial, CommonName: serial}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func certificateIn(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := sign.LoadChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return chain[0]
}
