package registrar_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A join is cut off at each of its commits, before and after it; the process
// begins again and the device repeats what it asked. It ends joined, the MASA
// saw one request, and no certificate is out that is not on record.
func TestJoinSurvivesACrashAtEveryCommit(t *testing.T) {
	commits := uint64(0)
	join(t, func(n uint64) state.Fault {
		commits = max(commits, n+1)
		return state.NoFault
	})
	if commits < 5 {
		t.Fatalf("a join has %d commits", commits)
	}
	for _, fault := range []state.Fault{state.CrashBefore, state.CrashAfter, state.FailBefore, state.FailAfter} {
		for at := range commits {
			t.Run(fmt.Sprintf("fault %d at commit %d", fault, at), func(t *testing.T) {
				join(t, func(n uint64) state.Fault {
					if n == at {
						return fault
					}
					return state.NoFault
				})
			})
		}
	}
}

// join takes a device from its first request to a renewed certificate, with
// faults; after each failure the process begins again.
func join(t *testing.T, fault func(commit uint64) state.Fault) {
	w := newSite(t)
	w.db.OnCommit(fault)
	p := w.pledge("SN-0001")
	pvr, key := p.pvr(), newKey(t)
	insist(t, w, func() error {
		_, err := p.ask(pvr)
		return err
	})
	var certs []*x509.Certificate
	keep := func(answer *exchange.Answer, err error) error {
		cert, err := w.issued(answer, err)
		if err == nil && !slices.ContainsFunc(certs, cert.Equal) {
			certs = append(certs, cert)
		}
		return err
	}
	first := csr(t, key, est.CSRParams{Subject: p.subject()})
	insist(t, w, func() error {
		return keep(w.registrar.SimpleEnroll(t.Context(), w.request(p.peer(), exchange.TypePKCS10, first)))
	})
	second := csr(t, newKey(t), est.CSRParams{Subject: p.subject()})
	insist(t, w, func() error {
		return keep(w.registrar.SimpleReenroll(t.Context(), w.request(certs[:1], exchange.TypePKCS10, second)))
	})
	insist(t, w, func() error {
		_, err := w.registrar.CRL(t.Context(), w.request(nil, "", nil))
		return err
	})
	w.restart()
	if n := w.masa.logged("SN-0001"); n != 1 {
		t.Errorf("the MASA logged %d vouchers", n)
	}
	for _, c := range w.masa.made("") {
		if !bytes.Equal(c.Body, w.masa.made("")[0].Body) {
			t.Error("two requests for one of the pledge")
		}
	}
	info, err := w.registrar.ShowDevice(t.Context(), "SN-0001")
	if err != nil {
		t.Fatal(err)
	}
	if len(certs) != 2 {
		t.Errorf("%d certificates are out", len(certs))
	}
	for _, c := range certs {
		if !slices.ContainsFunc(info.Certificates, func(i registrar.CertificateInfo) bool {
			return i.Serial == hex.EncodeToString(c.SerialNumber.Bytes())
		}) {
			t.Errorf("certificate %x is out and not on record", c.SerialNumber)
		}
	}
	if len(info.Certificates) != 2 {
		t.Errorf("%d certificates on record", len(info.Certificates))
	}
}

// insist repeats a request until it is answered, with a new process after each
// failure.
func insist(t *testing.T, w *site, ask func() error) {
	t.Helper()
	var err error
	for range 4 {
		if err = ask(); err == nil {
			return
		}
		w.restart()
	}
	t.Fatal(err)
}
