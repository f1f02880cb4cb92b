package est_test

import (
	"crypto/elliptic"
	"net/netip"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

func TestWritersAllocateNothing(t *testing.T) {
	certs := [][]byte{certificate(t, "leaf"), certificate(t, "ca")}
	p := est.CSRParams{
		Subject: name(t, est.OIDOrganization, "Doors", est.OIDSerialNumber, "1"), PublicKey: spki(t, newKey(t, elliptic.P256()).Public()),
		Extensions:        []est.Extension{{ID: est.OIDKeyUsage, Critical: true, Value: unhex("03020780")}, {ID: est.OIDExtendedKeyUsage, Value: seq(oid(t, "1.3.6.1.5.5.7.3.2"))}},
		ChallengePassword: []byte("a challenge longer than a short string on the stack"),
	}
	signature := make([]byte, 72)
	attrs := published["template-derived"]
	list := published["potato-example"]
	list.Template = attrs.Template
	list.Extensions = p.Extensions
	dns, addresses := []string{"a.example.com"}, []netip.Addr{netip.MustParseAddr("192.0.2.7")}
	room, info, body, out := make([]byte, 0, 1<<13), make([]byte, 0, 1<<13), make([]byte, 0, 1<<13), make([]byte, 0, 1<<13)
	for what, f := range map[string]func() error{
		"request": func() (err error) {
			if info, err = est.AppendCSRInfo(info[:0], p); err == nil {
				room, err = est.AppendCSR(room[:0], info, ecdsaWithSHA256, signature)
			}
			return err
		},
		"certs-only": func() (err error) {
			room, err = est.AppendCertsOnly(room[:0], certs)
			return err
		},
		"attributes": func() (err error) {
			room, err = list.Append(room[:0])
			return err
		},
		"names": func() error {
			room = est.AppendSubjectAltName(room[:0], dns, addresses)
			return nil
		},
		"body": func() (err error) {
			body = est.AppendBody(body[:0], certs[0])
			out, err = est.DecodeBody(out[:0], body)
			return err
		},
	} {
		if n := testing.AllocsPerRun(100, func() { must(t, f()) }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
}
