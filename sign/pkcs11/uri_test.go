package pkcs11

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const module = "?module-path=/usr/lib/lib.so"

func TestURIsAreRead(t *testing.T) {
	slot := uint(7)
	for text, want := range map[string]URI{
		"pkcs11:token=masa;object=key" + module:                                 {ModulePath: "/usr/lib/lib.so", Token: "masa", Object: "key"},
		"PKCS11:object=a%20key;type=private;serial=01%3b" + module:              {ModulePath: "/usr/lib/lib.so", Serial: "01;", Object: "a key"},
		"pkcs11:slot-id=7;id=%00%ff%2F" + module:                                {ModulePath: "/usr/lib/lib.so", Slot: &slot, ID: []byte{0, 0xff, '/'}},
		"pkcs11:token=a+b;id=z" + module + "&pin-source=file:/etc/pin":          {ModulePath: "/usr/lib/lib.so", Token: "a+b", ID: []byte("z"), PINSource: "/etc/pin"},
		"pkcs11:token=t;id=z" + module + "&pin-source=file:///etc/pin":          {ModulePath: "/usr/lib/lib.so", Token: "t", ID: []byte("z"), PINSource: "/etc/pin"},
		"pkcs11:token=t;id=z" + module + "&pin-source=file://localhost/etc/pin": {ModulePath: "/usr/lib/lib.so", Token: "t", ID: []byte("z"), PINSource: "/etc/pin"},
		"pkcs11:token=t;id=z" + module + "&pin-source=/etc/p%20n":               {ModulePath: "/usr/lib/lib.so", Token: "t", ID: []byte("z"), PINSource: "/etc/p n"},
		"pkcs11:token=m%C3%BCnze;object=o?pin-source=/p&module-path=/m":         {ModulePath: "/m", Token: "münze", Object: "o", PINSource: "/p"},
	} {
		got, err := ParseURI(text)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
			continue
		}
		again, err := ParseURI(got.String())
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s is written as %s: %v", text, got, err)
		}
	}
}

func TestURIsThatNameNoKeyAreRefused(t *testing.T) {
	for text, says := range map[string]string{
		"file:/x":                  "begin with",
		"pkcs11:":                  "module-path",
		"pkcs11:token=t;object=o":  "module-path",
		"pkcs11:token=t" + module:  "names no key",
		"pkcs11:object=o" + module: "0 of token",
		"pkcs11:token=t;serial=s;object=o" + module:                        "2 of token",
		"pkcs11:token=t;object=o?module-path=lib.so":                       "absolute",
		"pkcs11:token=t;token=t;object=o" + module:                         "twice",
		"pkcs11:token=t;object=o" + module + "&module-path=/m":             "twice",
		"pkcs11:token=t;object" + module:                                   "name=value",
		"pkcs11:token=t;;object=o" + module:                                "name=value",
		"pkcs11:token=;object=o" + module:                                  "empty",
		"pkcs11:token=%4;object=o" + module:                                "hexadecimal",
		"pkcs11:token=%zz;object=o" + module:                               "hexadecimal",
		"pkcs11:token=a b;object=o" + module:                               "percent-encoded",
		"pkcs11:token=t;object=o;model=m" + module:                         "select the token",
		"pkcs11:token=t;object=o;library-version=3" + module:               "module-path",
		"pkcs11:token=t;object=o;x-colour=red" + module:                    "not known",
		"pkcs11:token=t;object=o;type=cert" + module:                       "type=private",
		"pkcs11:slot-id=-1;object=o" + module:                              "decimal",
		"pkcs11:slot-id=99999999999;object=o" + module:                     "decimal",
		"pkcs11:token=t;object=o;module-path=/m":                           "behind the ?",
		"pkcs11:object=o" + module + "&token=t":                            "before the ?",
		"pkcs11:token=t;object=o" + module + "&pin-source=|cat":            "not run",
		"pkcs11:token=t;object=o" + module + "&pin-source=pin":             "absolute",
		"pkcs11:token=t;object=o" + module + "&pin-source=file://host/pin": "absolute",
		"pkcs11:token=t;object=o" + module + "&module-name=softhsm2":       "whole path",
		"pkcs11:token=t;object=" + strings.Repeat("o", 1025) + module:      "more than",
		"pkcs11:token=t;object=" + strings.Repeat("o", 5000) + module:      "more than",
	} {
		var refused *URIError
		if _, err := ParseURI(text); !errors.As(err, &refused) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAPINInTheURIIsRefusedAndNotRepeated(t *testing.T) {
	for _, text := range []string{
		"pkcs11:token=t;object=o" + module + "&pin-value=4711",
		"pkcs11:token=t;object=o;pin-value=4711" + module,
	} {
		_, err := ParseURI(text)
		if err == nil || !strings.Contains(err.Error(), PINEnv) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%v", err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=masa;object=a%20key;id=%00" + module + "&pin-source=file:/etc/pin")
	f.Add("pkcs11:slot-id=1;id=%ff?module-path=/m")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURI(text)
		if err != nil {
			return
		}
		again, err := ParseURI(u.String())
		if err != nil || again.Token != u.Token || !bytes.Equal(again.ID, u.ID) || again.ModulePath != u.ModulePath || again.PINSource != u.PINSource {
			t.Errorf("%q is written as %q and read as %+v: %v", text, u, again, err)
		}
	})
}
