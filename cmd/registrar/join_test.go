package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
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
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/sign"
)

// A wire is a TCP relay of the test between two programs. It counts the pieces
// that pass, in both directions together, and can do something before one of
// them is passed on.
type wire struct {
	listener net.Listener

	mu     sync.Mutex
	target string // guarded by mu
	pieces int    // guarded by mu
	at     int    // guarded by mu; the piece before which act is called, 0 for none
	act    func() // guarded by mu
	silent bool   // guarded by mu; nothing is passed on
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.relay(c) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return w
}

// address is where the wire begins.
func (w *wire) address() string { return w.listener.Addr().String() }

// lead sets where the wire ends.
func (w *wire) lead(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = "127.0.0.1" + url[strings.LastIndexByte(url, ':'):]
}

// before has act called before piece n from now on is passed on.
func (w *wire) before(n int, act func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pieces, w.at, w.act = 0, n, act
}

func (w *wire) silence(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = on
}

// piece counts one, and reports whether it is to be passed on.
func (w *wire) piece() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pieces++; w.pieces == w.at {
		w.act()
	}
	return !w.silent
}

func (w *wire) relay(c net.Conn) {
	defer c.Close()
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	d, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer d.Close()
	ended := make(chan struct{}, 2)
	pump := func(to, from net.Conn) {
		defer func() { ended <- struct{}{} }()
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 && w.piece() {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go pump(d, c)
	go pump(c, d)
	<-ended
}

// A world is a MASA, a registrar and devices, all programs with a wire between
// each two.
type world struct {
	t               *testing.T
	dir             string
	registrarConfig string
	masa, registrar *process
	toMASA          *wire
	toRegistrar     *wire
}

func newWorld(t *testing.T, devices int, args ...string) *world {
	t.Helper()
	w := &world{t: t, dir: shortDir(t), toMASA: newWire(t), toRegistrar: newWire(t)}
	w.must("masa", "init", "--dir", w.path("m"), "--url", "https://localhost:0", "--demo-idevid-ca")
	w.must("registrar", append([]string{"init", "--dir", w.path("r"), "--url", "https://localhost:0", "--manufacturer", w.path("m/idevid-ca.pem"),
		"--masa-trust", w.path("m/tls-ca.pem"), "--voucher-trust", w.path("m/voucher-ca.pem"), "--audit-key", w.path("m/audit.pub")}, args...)...)
	w.must("pledge", "idevid", "--ca-cert", w.path("m/idevid-ca.pem"), "--ca-key", w.path("m/idevid-ca.key"), "--masa-url", w.toMASA.address(),
		"--n", fmt.Sprint(devices), "--prefix", "SN-", "--out", w.path("devices"))
	w.registrarConfig = w.path("r/registrar.yaml")
	w.startMASA()
	w.startRegistrar()
	w.must("masa", "devices", "import", w.path("devices"), "--config", w.path("m/masa.yaml"), "--progress", "none")
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) startMASA() {
	w.t.Helper()
	w.masa = startProgram(w.t, "masa", "serve", "--config", w.path("m/masa.yaml"))
	w.toMASA.lead(w.masa.at)
}

func (w *world) startRegistrar() {
	w.t.Helper()
	w.registrar = startProgram(w.t, "registrar", "serve", "--config", w.registrarConfig)
	w.toRegistrar.lead(w.registrar.at)
}

// run runs a program to its end.
func (w *world) run(name string, args ...string) outcome {
	w.t.Helper()
	return finished(w.t, exec.Command(binary(w.t, name), args...), nil)
}

// finished runs a command; begun, where not nil, is told when it runs.
func finished(t *testing.T, cmd *exec.Cmd, begun func(*os.Process)) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if begun != nil {
		begun(cmd.Process)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func (w *world) must(name string, args ...string) outcome {
	w.t.Helper()
	o := w.run(name, args...)
	if o.code != 0 {
		w.t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), o.code, o.out, o.errs)
	}
	return o
}

// joining is the command that has a device join.
func (w *world) joining(serial string, args ...string) *exec.Cmd {
	w.t.Helper()
	return exec.Command(binary(w.t, "pledge"), append([]string{"join", "--registrar", "https://" + w.toRegistrar.address(), "--idevid", w.path("devices/" + serial + ".pem"),
		"--key", w.path("devices/" + serial + ".key"), "--trust", w.path("m/voucher-ca.pem"), "--state", w.path("state-" + serial), "--timeout", "60s"}, args...)...)
}

func (w *world) join(serial string, args ...string) outcome {
	w.t.Helper()
	return finished(w.t, w.joining(serial, args...), nil)
}

// wantJoined checks all that a device has after it joined: a certificate that
// leads to the domain CA, is for its key, names it, and is on record at the
// registrar; and that the MASA has the voucher on record.
func (w *world) wantJoined(serial string) *x509.Certificate {
	w.t.Helper()
	state := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(w.path("state-"+serial), name))
		if err != nil {
			w.t.Fatal(err)
		}
		return text
	}
	chain, err := sign.LoadChain(state("ldevid.pem"))
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := sign.LoadKey(state("ldevid.key"), nil)
	if err == nil {
		err = sign.MatchCertificate(key, chain[0])
	}
	if err != nil {
		w.t.Error(err)
	}
	domain := certificateIn(w.t, w.path("r/domain-ca.pem"))
	roots := x509.NewCertPool()
	roots.AddCert(domain)
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		w.t.Error(err)
	}
	if chain[0].Subject.SerialNumber != serial {
		w.t.Errorf("the certificate is of %s, want %s", chain[0].Subject, serial)
	}
	if block, _ := pem.Decode(state("cacerts.pem")); block == nil || !bytes.Equal(block.Bytes, domain.Raw) {
		w.t.Error("cacerts.pem is not the domain CA")
	}
	var d registrar.DeviceInfo
	if err := json.Unmarshal([]byte(w.must("registrar", "devices", "show", serial, "--json", "--config", w.registrarConfig).out), &d); err != nil {
		w.t.Fatal(err)
	}
	if !slices.ContainsFunc(d.Certificates, func(c registrar.CertificateInfo) bool {
		return c.Serial == fmt.Sprintf("%x", chain[0].SerialNumber.Bytes())
	}) || d.Verdict != registrar.Good {
		w.t.Errorf("the registrar has on record: %+v; the device has %x", d, chain[0].SerialNumber)
	}
	var issued struct {
		Issued uint64 `json:"vouchers"`
	}
	shown := w.must("masa", "devices", "show", serial, "--json", "--config", w.path("m/masa.yaml")).out
	if err := json.Unmarshal([]byte(shown), &issued); err != nil || issued.Issued == 0 {
		w.t.Errorf("the MASA has no voucher on record: %v\n%s", err, shown)
	}
	return chain[0]
}

func TestDevicesJoinAndRenew(t *testing.T) {
	w := newWorld(t, 2)
	w.must("registrar", "devices", "import", w.path("devices"), "--config", w.registrarConfig, "--progress", "none").want(t, 0, "2 devices added")
	for serial, format := range map[string]string{"SN-1": "cms", "SN-2": "jws"} {
		w.join(serial, "--format", format).want(t, 0, serial+" joined")
		first := w.wantJoined(serial)
		if _, err := os.Stat(filepath.Join(w.path("state-"+serial), map[string]string{"cms": "voucher.vcj", "jws": "voucher.vjj"}[format])); err != nil {
			t.Error(err)
		}
		w.join(serial).want(t, 0) // it stays as it is
		w.must("pledge", "renew", "--state", w.path("state-"+serial))
		if second := w.wantJoined(serial); second.SerialNumber.Cmp(first.SerialNumber) == 0 || !bytes.Equal(second.RawSubject, first.RawSubject) {
			t.Errorf("renewed to %x of %s", second.SerialNumber, second.Subject)
		}
		w.must("pledge", "reset", "--state", w.path("state-"+serial))
		w.join(serial, "--format", format).want(t, 0)
		w.wantJoined(serial)
	}
}

// TestARefusedDeviceIsExplainedAndTheRemedyHelps: what explain says to do is done
// as it stands.
func TestARefusedDeviceIsExplainedAndTheRemedyHelps(t *testing.T) {
	w := newWorld(t, 1)
	w.join("SN-1").want(t, program.Failed)
	o := w.must("registrar", "devices", "explain", "SN-1", "--config", w.registrarConfig)
	checks := []string{"client-certificate", "content-type", "signature", "nonce", "serial-number", "proximity", "admission"}
	at := 0
	for _, check := range checks {
		i := strings.Index(o.out[at:], " "+check)
		if i < 0 {
			t.Fatalf("%s is not shown, or not in order:\n%s", check, o.out)
		}
		at += i
	}
	if !strings.Contains(o.out, "FAIL admission") {
		t.Errorf("what stopped it is not shown:\n%s", o.out)
	}
	_, remedy, ok := strings.Cut(o.out, "remedy: registrar ")
	if !ok {
		t.Fatalf("no remedy:\n%s", o.out)
	}
	w.must("registrar", strings.Fields(remedy)...)
	w.join("SN-1").want(t, 0)
	w.wantJoined("SN-1")

	w.must("registrar", "devices", "refuse", "SN-1", "--config", w.registrarConfig)
	w.run("pledge", "renew", "--state", w.path("state-SN-1")).want(t, program.Failed)
	w.must("registrar", "devices", "approve", "SN-1", "--config", w.registrarConfig)
	w.must("pledge", "renew", "--state", w.path("state-SN-1"))
	serial := fmt.Sprintf("%x", w.wantJoined("SN-1").SerialNumber.Bytes())
	w.must("registrar", "certificates", "list", "SN-1", "--config", w.registrarConfig).want(t, 0, serial)
	w.must("registrar", "certificates", "revoke", serial, "--reason", "keyCompromise", "--config", w.registrarConfig)
	w.run("pledge", "renew", "--state", w.path("state-SN-1")).want(t, program.Failed)
	if _, _, body := ask(t, client(t, nil), "GET", w.registrar.at+pathCRL, "", nil); true {
		list, err := x509.ParseRevocationList(body)
		if err != nil || len(list.RevokedCertificateEntries) != 1 || fmt.Sprintf("%x", list.RevokedCertificateEntries[0].SerialNumber.Bytes()) != serial {
			t.Errorf("the revocation list: %v, %v", list, err)
		}
	}
}

// TestAnAuditLogUnderAnotherKeyIsRefused: a MASA that signs its log with another
// key than the registrar was given lets no device in, until the registrar knows it.
func TestAnAuditLogUnderAnotherKeyIsRefused(t *testing.T) {
	w := newWorld(t, 2, "--admit", "manufacturer")
	w.must("masa", "init", "--dir", w.path("other"), "--url", "https://localhost:0", "--demo-idevid-ca")
	var makers []maker
	for line := range strings.Lines(w.must("registrar", "manufacturers", "--json", "--config", w.registrarConfig).out) {
		var m maker
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		makers = append(makers, m)
	}
	if len(makers) != 1 || len(makers[0].AuditKeys) != 1 {
		t.Fatalf("manufacturers %+v", makers)
	}
	add := func(key string) {
		w.must("registrar", "manufacturers", "add", makers[0].Name, "--idevid-ca", w.path("m/idevid-ca.pem"), "--masa-trust", w.path("m/tls-ca.pem"),
			"--voucher-trust", w.path("m/voucher-ca.pem"), "--audit-key", key, "--config", w.registrarConfig)
	}
	add(w.path("other/audit.pub"))
	w.join("SN-1").want(t, program.Failed)
	w.must("registrar", "devices", "show", "SN-1", "--config", w.registrarConfig).want(t, 0, "not proven")
	add(w.path("m/audit.pub"))
	w.join("SN-2").want(t, 0)
	w.wantJoined("SN-2")
}

func TestADeviceJoinsThroughAProxyAndWaitsForApproval(t *testing.T) {
	w := newWorld(t, 1, "--admit", "ask")
	proxy := start(t, "proxy", "--registrar", strings.TrimPrefix(w.registrar.at, "https://"), "--listen", "127.0.0.1:0")
	w.toRegistrar.lead("https://" + proxy.at)
	w.join("SN-1", "--timeout", "1s").want(t, 4)
	w.must("registrar", "devices", "list", "--config", w.registrarConfig).want(t, 0, "waiting")
	w.must("registrar", "devices", "approve", "SN-1", "--config", w.registrarConfig)
	w.join("SN-1").want(t, 0)
	w.wantJoined("SN-1")
}

// TestTheEndIsNotKeptWaitingByAMASA: a MASA that takes the request and says
// nothing does not keep the registrar from ending in order, nor a device from
// joining when both are back.
func TestTheEndIsNotKeptWaitingByAMASA(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "--admit", "manufacturer")
	asked := make(chan struct{})
	w.toMASA.silence(true)
	w.toMASA.before(1, func() { close(asked) })
	ended := make(chan outcome, 1)
	join := w.joining("SN-1")
	go func() { ended <- finished(t, join, nil) }()
	<-asked
	if code := w.registrar.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, w.registrar.errs)
	}
	w.toMASA.silence(false)
	w.startRegistrar()
	if o := <-ended; o.code == program.Usage {
		t.Errorf("exit code %d: %s", o.code, o.errs)
	}
	w.join("SN-1").want(t, 0)
	w.wantJoined("SN-1")
}

// killing is one role killed on the way of one wire.
type killing struct {
	name string
	wire func(*world) *wire
	kill func(w *world, pledge *os.Process)
	back func(*world)
}

var killings = []killing{
	{"the pledge", func(w *world) *wire { return w.toRegistrar }, func(_ *world, p *os.Process) { p.Signal(syscall.SIGKILL) }, func(*world) {}},
	{"the registrar", func(w *world) *wire { return w.toRegistrar }, func(w *world, _ *os.Process) { w.registrar.kill() }, (*world).startRegistrar},
	{"the registrar, asking the MASA", func(w *world) *wire { return w.toMASA }, func(w *world, _ *os.Process) { w.registrar.kill() }, (*world).startRegistrar},
	{"the MASA", func(w *world) *wire { return w.toMASA }, func(w *world, p *os.Process) {
		w.masa.kill()
		time.AfterFunc(2*time.Second, func() { p.Signal(syscall.SIGTERM) }) // it may have been told to come back in half a minute
	}, (*world).startMASA},
}

// TestARoleIsKilledAtEveryStepOfAJoin kills a role before each piece of data that
// passes on its wire, one join after the other, until a join ends before its piece
// has come. Behind every one a clean join succeeds.
func TestARoleIsKilledAtEveryStepOfAJoin(t *testing.T) {
	const most = 64 // pieces of a join, and more
	for _, k := range killings {
		t.Run(k.name, func(t *testing.T) {
			w := newWorld(t, most, "--admit", "manufacturer")
			step := 1
			if testing.Short() {
				step = 5
			}
			n := 1
			for killed := true; killed; n += step {
				if n > most {
					t.Fatalf("a join has more than %d pieces", most)
				}
				killed = w.killedAt(k, n)
			}
			if n <= 3 {
				t.Errorf("joins ended before %d pieces had passed", n)
			}
		})
	}
}

// killedAt has device n join, and a role killed before piece n. It reports
// whether that piece came.
func (w *world) killedAt(k killing, n int) (killed bool) {
	w.t.Helper()
	serial := fmt.Sprintf("SN-%02d", n)
	on := k.wire(w)
	var pledge *os.Process
	running := make(chan struct{})
	on.before(n, func() {
		<-running
		killed = true
		k.kill(w, pledge)
	})
	o := finished(w.t, w.joining(serial, "--timeout", "20s"), func(p *os.Process) { pledge = p; close(running) })
	on.before(0, nil)
	if o.code == program.Usage {
		w.t.Fatalf("%s, piece %d: exit code %d: %s", k.name, n, o.code, o.errs)
	}
	if !killed && o.code != 0 {
		w.t.Fatalf("%s, piece %d: nobody was killed, and the join failed: exit code %d: %s", k.name, n, o.code, o.errs)
	}
	if killed {
		k.back(w)
	}
	if again := w.join(serial); again.code != 0 {
		w.t.Fatalf("%s, killed before piece %d; the next join: exit code %d\n%s\nregistrar:\n%s", k.name, n, again.code, again.errs, tail(w.registrar.errs.String()))
	}
	w.wantJoined(serial)
	return killed
}

func tail(text string) string { return text[max(0, len(text)-2000):] }
