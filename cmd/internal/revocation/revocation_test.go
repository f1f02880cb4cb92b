package revocation

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/outbound"
	"github.com/vouchmill/vouchmill/engine/masa"
)

var _ masa.Revocation = (*Checker)(nil)

// An authority with a list that a server hands out.
type authority struct {
	t       *testing.T
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	url     string
	der     []byte
	status  int
	fetched atomic.Int64
}

var epoch = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, status: 200}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Domain CA"}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	a.cert = a.issue(template, template)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fetched.Add(1)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/crl", http.StatusFound)
			return
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(a.der)
	}))
	t.Cleanup(s.Close)
	a.url = s.URL + "/crl"
	a.revoke(nil)
	return a
}

func (a *authority) issue(template, parent *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, a.key.Public(), a.key)
	must(a.t, err)
	c, err := x509.ParseCertificate(der)
	must(a.t, err)
	return c
}

// entity issues a certificate with a serial number that names lists.
func (a *authority) entity(serial int64, urls ...string) *x509.Certificate {
	return a.issue(&x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint("Registrar ", serial)}, NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(1, 0, 0), CRLDistributionPoints: urls}, a.cert)
}

// revoke changes the list, to what change makes of a good one.
func (a *authority) revoke(change func(*x509.RevocationList), serials ...int64) {
	a.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: epoch.Add(-time.Hour), NextUpdate: epoch.Add(24 * time.Hour)}
	for _, s := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: epoch.Add(-2 * time.Hour)})
	}
	if change != nil {
		change(template)
	}
	var err error
	a.der, err = x509.CreateRevocationList(rand.Reader, template, a.cert, a.key)
	must(a.t, err)
}

func here(strict bool) *Checker {
	return New(Config{Strict: strict, Hosts: []string{"127.0.0.1"}})
}

func (a *authority) check(c *Checker, serial int64, urls ...string) error {
	a.t.Helper()
	if urls == nil {
		urls = []string{a.url}
	}
	return c.Check(a.t.Context(), []*x509.Certificate{a.entity(serial, urls...), a.cert}, epoch)
}

func ExampleChecker_Check() {
	// A registrar's own certificate, self-signed: nobody else can revoke it.
	c := New(Config{Strict: true})
	fmt.Println(c.Check(context.Background(), []*x509.Certificate{{}}, time.Now()))
	// Output: <nil>
}

func TestWhatItsIssuerRevokedIsRefused(t *testing.T) {
	a := newAuthority(t)
	a.revoke(nil, 7, 9)
	for _, strict := range []bool{false, true} {
		c := here(strict)
		var revoked *RevokedError
		if err := a.check(c, 7); !errors.As(err, &revoked) || revoked.URL != a.url {
			t.Errorf("revoked: %v", err)
		}
		if err := a.check(c, 8); err != nil {
			t.Errorf("not revoked: %v", err)
		}
		if err := c.Check(t.Context(), []*x509.Certificate{a.entity(8), a.cert}, epoch); err != nil {
			t.Errorf("no list is named: %v", err)
		}
	}
}

func TestALaterCertificateOfThePathCounts(t *testing.T) {
	a := newAuthority(t)
	a.revoke(nil, 7)
	between := a.entity(7, a.url)
	if err := here(false).Check(t.Context(), []*x509.Certificate{a.entity(8), between, a.cert}, epoch); err == nil {
		t.Error("a path over a revoked certificate passed")
	}
}

// TestListsThatDoNotCountAreAsNone: strict refuses, the other lets pass, and a
// second list that counts decides.
func TestListsThatDoNotCountAreAsNone(t *testing.T) {
	for name, spoil := range map[string]func(a *authority){
		"none":      func(a *authority) { a.status = 404 },
		"garbage":   func(a *authority) { a.der = []byte("garbage") },
		"another's": func(a *authority) { b := newAuthority(t); b.revoke(nil, 7); a.der = b.der },
		"expired": func(a *authority) {
			a.revoke(func(l *x509.RevocationList) { l.NextUpdate = epoch.Add(-time.Minute * 30) }, 7)
		},
		"of the future": func(a *authority) { a.revoke(func(l *x509.RevocationList) { l.ThisUpdate = epoch.Add(time.Hour) }, 7) },
		"delta":         func(a *authority) { a.revoke(extension(oidDelta, true, []byte{2, 1, 1}), 7) },
		"unknown":       func(a *authority) { a.revoke(extension(asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0}), 7) },
		"only CAs":      func(a *authority) { a.revoke(extension(oidDistribution, true, []byte{0x30, 3, 0x82, 1, 0xff}), 7) },
		"only CAs, behind what is unknown": func(a *authority) {
			a.revoke(extension(oidDistribution, true, []byte{0x30, 5, 0x87, 0, 0x82, 1, 0xff}), 7)
		},
		"not DER":         func(a *authority) { a.revoke(extension(oidDistribution, true, []byte{0x30, 9}), 7) },
		"entries of all":  func(a *authority) { a.revoke(criticalEntry, 7) },
		"changed":         func(a *authority) { a.revoke(nil, 7); a.der[len(a.der)-5] ^= 1 },
		"larger than all": func(a *authority) { a.der = make([]byte, maxList+1) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			spoil(a)
			if err := a.check(here(false), 7); err != nil {
				t.Errorf("lenient: %v", err)
			}
			err := a.check(here(true), 7)
			var revoked *RevokedError
			if err == nil || errors.As(err, &revoked) || !strings.Contains(err.Error(), "cannot be told") {
				t.Errorf("strict: %v", err)
			}
		})
	}
	a := newAuthority(t)
	a.revoke(nil, 7)
	if err := a.check(here(true), 8, "ldap://x/crl", a.url+"/moved-away", a.url); err != nil {
		t.Errorf("a second list: %v", err)
	}
	if err := a.check(here(true), 8, strings.TrimSuffix(a.url, "crl")+"moved"); err == nil {
		t.Error("a redirect was followed")
	}
	a.revoke(extension(oidDistribution, true, []byte{0x30, 2, 0xa0, 0}), 7)
	var revoked *RevokedError
	if err := a.check(here(true), 7); !errors.As(err, &revoked) {
		t.Errorf("a list that only says where it is: %v", err)
	}
}

func extension(id asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

func criticalEntry(l *x509.RevocationList) {
	l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}}
}

func TestAddressesOfStrangersAreJudged(t *testing.T) {
	a := newAuthority(t)
	err := a.check(New(Config{Strict: true}), 8)
	var address *outbound.AddressError
	if !errors.As(err, &address) || a.fetched.Load() > 0 {
		t.Errorf("%v, fetched %d times", err, a.fetched.Load())
	}
	for _, bad := range []string{"ldap://127.0.0.1/crl", "file:///etc/passwd", "http://", "http://u:p@127.0.0.1/"} {
		if err := a.check(here(true), 8, bad); err == nil || a.fetched.Load() > 0 {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestListsAreKeptForAWhile(t *testing.T) {
	a := newAuthority(t)
	c := here(true)
	at := func(now time.Time, serial int64) error {
		return c.Check(t.Context(), []*x509.Certificate{a.entity(serial, a.url), a.cert}, now)
	}
	must(t, at(epoch, 8))
	a.revoke(nil, 8)
	must(t, at(epoch.Add(keepList/2), 8))
	if n := a.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	if err := at(epoch.Add(2*keepList), 8); err == nil {
		t.Error("a list that is an hour old is still believed")
	}
	a.status = 500
	for range 3 {
		if err := at(epoch.Add(4*keepList), 8); err == nil {
			t.Error("no list, and passed")
		}
	}
	if n := a.fetched.Load(); n != 3 {
		t.Errorf("a list that cannot be had was asked for %d times", n-2)
	}
	for i := range 3 * maxKept {
		c.mu.Lock()
		c.evict(epoch)
		c.kept[[32]byte{byte(i), byte(i >> 8)}] = &kept{done: make(chan struct{})}
		c.mu.Unlock()
	}
	if n := len(c.kept); n > maxKept {
		t.Errorf("%d lists are kept", n)
	}
}

func TestWhoLeavesDoesNotWait(t *testing.T) {
	a := newAuthority(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if err := here(true).Check(ctx, []*x509.Certificate{a.entity(8, a.url), a.cert}, epoch); err != nil && !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}
