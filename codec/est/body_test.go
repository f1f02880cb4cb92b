package est_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec/est"
)

func TestBodiesAreBase64WithWhiteSpace(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string // hexadecimal, or what the error says
		ok   bool
	}{
		{"MAA=", "3000", true},
		{"MA\r\nA=\r\n", "3000", true},
		{" M\tA A = ", "3000", true},
		{"MAEx", "300131", true},
		{"+/+/", "fbffbf", true},
		{"\x30\x00", "3000", true},
		{"\x30 DER is not judged", "", true},
		{"", "empty", false},
		{" \r\n", "empty", false},
		{"MAA", "inside a group", false},
		{"MA", "inside a group", false},
		{"M", "inside a group", false},
		{"MA=", "inside a group", false},
		{"MAB=", "bits that are not zero", false},
		{"MB==", "bits that are not zero", false},
		{"MAA==", "behind the padding", false},
		{"MAA=MAA=", "behind the padding", false},
		{"=", "no base64 digit", false},
		{"M=A=", "no base64 digit", false},
		{"MAA=\x00", "behind the padding", false},
		{"M_A=", "no base64 digit", false},
		{"M-A=", "PEM or base64url", false},
		{"M\vAA=", "no base64 digit", false},
	} {
		got, err := est.DecodeBody([]byte("x"), []byte(c.in))
		if c.ok {
			must(t, err)
			want := append([]byte("x"), unhex(c.want)...)
			if c.want == "" {
				want = append([]byte("x"), c.in...)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%q: %x", c.in, got)
			}
			continue
		}
		var e *est.BodyError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || string(got) != "x" {
			t.Errorf("%q: %x, %v, want an error about %q", c.in, got, err, c.want)
		}
	}
	armour := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{0x30, 0}})
	if _, err := est.DecodeBody(nil, armour); err == nil || !strings.Contains(err.Error(), "PEM") {
		t.Errorf("PEM: %v", err)
	}
}

func TestBodiesReadBackAsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		der := make([]byte, n+1)
		for i := range der {
			der[i] = byte(r.Uint32())
		}
		der[0] = 0x30
		body := est.AppendBody(nil, der)
		if want := base64.StdEncoding.EncodeToString(der); string(body) != want {
			t.Fatalf("%q, want %q", body, want)
		}
		got, err := est.DecodeBody(nil, body)
		must(t, err)
		if !bytes.Equal(got, der) {
			t.Fatalf("%x comes back as %x", der, got)
		}
	}
}
