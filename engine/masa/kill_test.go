//go:build unix

package masa_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
)

// killEnv names the folder in which the process of TestKilledBeforeTheAnswer
// issues a voucher, to be killed before it leaves.
const killEnv = "VOUCHMILL_TEST_MASA_KILL"

// TestKilledBeforeTheAnswer kills a MASA with signal 9 when a voucher is on disk
// and has not left. The next process answers the same request with it.
func TestKilledBeforeTheAnswer(t *testing.T) {
	if dir := os.Getenv(killEnv); dir != "" {
		issueAndDie(t, dir)
		return
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledBeforeTheAnswer$")
	child.Env = append(os.Environ(), killEnv+"="+dir)
	output, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process was not killed: %v\n%s", err, output)
	}
	db, err := state.Open(filepath.Join(dir, "state"), state.Options{})
	must(t, err)
	t.Cleanup(func() { db.Close() })
	// Nothing of the keys is left: what is answered was made before.
	w := newWorld(t)
	w.cfg.DB = db
	w.start()
	body, err := os.ReadFile(filepath.Join(dir, "request"))
	must(t, err)
	voucherCA, err := os.ReadFile(filepath.Join(dir, "voucher-ca"))
	must(t, err)
	cert, err := x509.ParseCertificate(voucherCA)
	must(t, err)
	w.voucherCA = &entity{cert: cert}
	r := &exchange.Request{Now: epoch, ContentType: codec.FormatCMS.MediaType(), Body: body}
	first := w.send(r)
	if v := w.read(first); v.Leaves.Assertion != codec.AssertionProximity || !w.attempts[len(w.attempts)-1].Replayed {
		t.Errorf("the answer is %+v", v.Leaves)
	}
	if second := w.send(r); !bytes.Equal(first.Body, second.Body) {
		t.Error("two answers to one request")
	}
	events := uint64(0)
	must(t, db.View(context.Background(), func(r state.Reader) error {
		head, err := audit.ReadHead(r)
		events = head.Size
		return err
	}))
	if events != 1 {
		t.Errorf("the log has %d events, want 1", events)
	}
}

func issueAndDie(t *testing.T, dir string) {
	db, err := state.Open(filepath.Join(dir, "state"), state.Options{Create: true})
	must(t, err)
	w := newWorld(t, func(c *masa.Config) {
		c.DB = db
		c.Observe = func(a *masa.Attempt) { // the last thing before the answer
			if a.Refusal == nil {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	})
	r := w.join(0).exchange()
	must(t, os.WriteFile(filepath.Join(dir, "request"), r.Body, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "voucher-ca"), w.voucherCA.cert.Raw, 0o600))
	_, err = w.masa.RequestVoucher(context.Background(), r)
	t.Fatalf("it lives on: %v", err)
}
