package registrar_test

import (
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/registrar"
)

func TestMASABase(t *testing.T) {
	for value, want := range map[string]string{
		// An authority alone.
		"highway-test.example.com:9443": "https://highway-test.example.com:9443/.well-known/brski",
		"masa.example.com":              "https://masa.example.com/.well-known/brski",
		"MASA.Example.com":              "https://masa.example.com/.well-known/brski",
		"192.0.2.1:8443":                "https://192.0.2.1:8443/.well-known/brski",
		"[2001:db8::1]:9443":            "https://[2001:db8::1]:9443/.well-known/brski",
		// A URI.
		"https://masa.example.com":                    "https://masa.example.com/.well-known/brski",
		"https://masa.example.com/":                   "https://masa.example.com/.well-known/brski",
		"https://masa.example.com/.well-known/brski":  "https://masa.example.com/.well-known/brski",
		"https://masa.example.com/.well-known/brski/": "https://masa.example.com/.well-known/brski",
		"HTTPS://masa.example.com:9443/a/b":           "https://masa.example.com:9443/a/b",
		"https://masa.example.com/a%20b":              "https://masa.example.com/a%20b",
		// With a slash and without a scheme.
		"masa.example.com/":            "https://masa.example.com/.well-known/brski",
		"masa.example.com:9443/brski/": "https://masa.example.com:9443/brski",
		// Refused, and never rewritten.
		"":                                  "",
		"http://masa.example.com":           "",
		"http://masa.example.com/x":         "",
		"ldap://masa.example.com/":          "",
		"ftp://masa.example.com/":           "",
		"https://masa.example.com/x?y=1":    "",
		"https://masa.example.com/x?":       "",
		"masa.example.com?x":                "",
		"https://masa.example.com/x#y":      "",
		"masa.example.com#":                 "",
		"https://user@masa.example.com/":    "",
		"user:pass@masa.example.com":        "",
		"masa.example.com:0":                "",
		"masa.example.com:65536":            "",
		"masa.example.com:":                 "",
		"masa.example.com:443a":             "",
		"https:///x":                        "",
		"//masa.example.com/x":              "",
		"/x":                                "",
		"https://":                          "",
		"masa example.com":                  "",
		"masa.example.com\n":                "",
		"masa.example.com\\@evil.example":   "",
		"https://m%61sa.example.com/":       "",
		"[fe80::1%25eth0]:9443":             "",
		"[2001:db8::1":                      "",
		"https://[not-an-address]/":         "",
		"mäsa.example.com":                  "",
		"javascript:alert":                  "",
		"file:///etc/passwd":                "",
		"gopher://masa.example.com:70/x":    "",
		strings.Repeat("a", 1020) + ".com:": "",
		"https://masa.example.com/" + strings.Repeat("a", 1024): "",
		strings.Repeat("a", 254):                                "",
	} {
		got, err := registrar.MASABase(value)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.60q: %q, %v; want %q", value, got, err, want)
		}
	}
}
