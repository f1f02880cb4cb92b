package pkcs11

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// URI names a key on a token (RFC 7512). Exactly one of Token, Serial and Slot
// selects the token, Object or ID or both the key.
type URI struct {
	ModulePath string // module-path: the PKCS#11 library, an absolute path
	Token      string // token: the token's label
	Serial     string // serial: the token's serial number
	Slot       *uint  // slot-id: the slot the token is in
	Object     string // object: the key's label
	ID         []byte // id: the key's CKA_ID
	PINSource  string // pin-source: path of the file that holds the PIN
}

// maxURI bounds a URI, maxValue a value in it, in octets.
const (
	maxURI   = 4096
	maxValue = 1024
)

// URIError says what is wrong with a URI. It repeats no values: one of them may
// be a PIN.
type URIError struct {
	Attribute string // "" for the URI as a whole
	Reason    string // with the remedy
}

// Error names the attribute, if it is about one, and the reason.
func (e *URIError) Error() string {
	if e.Attribute == "" {
		return "pkcs11: key URI: " + e.Reason
	}
	return fmt.Sprintf("pkcs11: key URI: %s: %s", e.Attribute, e.Reason)
}

// IsURI reports whether a key name is a PKCS#11 URI rather than a path; the
// scheme's letter case does not matter (RFC 3986 §3.1).
func IsURI(name string) bool {
	return len(name) >= len(scheme) && strings.EqualFold(name[:len(scheme)], scheme)
}

const scheme = "pkcs11:"

// refusals are the attributes of RFC 7512 that are understood and not accepted,
// each with the reason.
var refusals = map[string]string{
	"pin-value":            "a PIN in a URI can be read by everyone; put it into a file for pin-source, or into " + PINEnv,
	"module-name":          "name the library by its whole path, with module-path",
	"manufacturer":         "select the token by one of token, serial and slot-id",
	"model":                "select the token by one of token, serial and slot-id",
	"slot-description":     "select the token by one of token, serial and slot-id",
	"slot-manufacturer":    "select the token by one of token, serial and slot-id",
	"library-manufacturer": "the library is the one that module-path names",
	"library-version":      "the library is the one that module-path names",
	"library-description":  "the library is the one that module-path names",
}

// ParseURI reads and checks a key URI. Attributes it does not use are refused
// and not passed over: they would narrow what the URI means. The error is a
// [*URIError].
func ParseURI(text string) (*URI, error) {
	if !IsURI(text) {
		return nil, &URIError{Reason: "it must begin with " + scheme}
	}
	if len(text) > maxURI {
		return nil, &URIError{Reason: fmt.Sprintf("it has more than %d octets", maxURI)}
	}
	path, query, _ := strings.Cut(text[len(scheme):], "?")
	u, seen := new(URI), map[string]bool{}
	for _, part := range []struct{ text, separator string }{{path, ";"}, {query, "&"}} {
		if part.text == "" {
			continue
		}
		for attribute := range strings.SplitSeq(part.text, part.separator) {
			name, raw, ok := strings.Cut(attribute, "=")
			if !ok || name == "" {
				return nil, &URIError{Reason: "its attributes must be name=value, with ; between them before the ? and & after it"}
			}
			if seen[name] {
				return nil, &URIError{name, "it is given twice"}
			}
			seen[name] = true
			if err := u.set(name, raw, part.separator == "&"); err != nil {
				return nil, err
			}
		}
	}
	return u, u.check()
}

// set takes one attribute; query tells on which side of the ? it stood.
func (u *URI) set(name, raw string, query bool) error {
	if reason, ok := refusals[name]; ok {
		return &URIError{name, reason}
	}
	value, err := unescape(raw)
	if err != nil {
		return &URIError{name, err.Error()}
	}
	if value == "" {
		return &URIError{name, "it is empty; leave it out or give a value"}
	}
	if want := name == "module-path" || name == "pin-source"; want != query {
		if want {
			return &URIError{name, "it belongs behind the ?"}
		}
		if _, known := pathAttributes[name]; known {
			return &URIError{name, "it belongs before the ?"}
		}
	}
	switch name {
	case "module-path":
		u.ModulePath = value
	case "pin-source":
		u.PINSource, err = pinPath(value)
	case "token":
		u.Token = value
	case "serial":
		u.Serial = value
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "slot-id":
		var slot uint64
		slot, err = strconv.ParseUint(value, 10, 31)
		id := uint(slot)
		u.Slot = &id
		if err != nil {
			err = &URIError{name, "it must be a decimal number"}
		}
	case "type":
		if value != "private" {
			err = &URIError{name, "only type=private, or none, names a key to sign with"}
		}
	default:
		err = &URIError{name, "this attribute is not known here; remove it"}
	}
	return err
}

var pathAttributes = map[string]bool{"token": true, "serial": true, "object": true, "id": true, "slot-id": true, "type": true}

func (u *URI) check() error {
	if u.ModulePath == "" {
		return &URIError{"module-path", "it is missing; give the PKCS#11 library's path, as in ?module-path=/usr/lib/softhsm/libsofthsm2.so"}
	}
	if !filepath.IsAbs(u.ModulePath) {
		return &URIError{"module-path", "it must be an absolute path"}
	}
	selectors := 0
	for _, given := range []bool{u.Token != "", u.Serial != "", u.Slot != nil} {
		if given {
			selectors++
		}
	}
	if selectors != 1 {
		return &URIError{Reason: fmt.Sprintf("%d of token, serial and slot-id are given; exactly one must select the token", selectors)}
	}
	if u.Object == "" && u.ID == nil {
		return &URIError{Reason: "it names no key; give object, the key's label, or id"}
	}
	return nil
}

// pinPath is the path in a pin-source: a path or a file URI of this machine.
func pinPath(value string) (string, error) {
	if strings.HasPrefix(value, "|") {
		return "", &URIError{"pin-source", "programs are not run for a PIN; name a file"}
	}
	if rest, ok := strings.CutPrefix(value, "file:"); ok {
		value = strings.TrimPrefix(strings.TrimPrefix(rest, "//localhost"), "//")
	}
	if !filepath.IsAbs(value) {
		return "", &URIError{"pin-source", "it must be an absolute path or file:/path"}
	}
	return value, nil
}

// unescape undoes percent-encoding (RFC 3986 §2.1). A plus sign is a plus sign.
func unescape(raw string) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return "", fmt.Errorf("a %% must be followed by two hexadecimal digits")
			}
			n, err := strconv.ParseUint(raw[i+1:i+3], 16, 8)
			if err != nil {
				return "", fmt.Errorf("a %% must be followed by two hexadecimal digits")
			}
			c, i = byte(n), i+2
		} else if c <= ' ' || c >= 0x7f {
			return "", fmt.Errorf("blanks, control characters and letters beyond ASCII must be percent-encoded")
		}
		out = append(out, c)
	}
	if len(out) > maxValue {
		return "", fmt.Errorf("it has more than %d octets", maxValue)
	}
	return string(out), nil
}

// String writes the URI in a form that ParseURI reads.
func (u *URI) String() string {
	var b strings.Builder
	b.WriteString(scheme)
	separator := ""
	add := func(name, value string) {
		if value != "" {
			b.WriteString(separator + name + "=" + escape(value))
			separator = ";"
		}
	}
	add("token", u.Token)
	add("serial", u.Serial)
	if u.Slot != nil {
		add("slot-id", strconv.FormatUint(uint64(*u.Slot), 10))
	}
	add("object", u.Object)
	add("id", string(u.ID))
	b.WriteString("?module-path=" + escape(u.ModulePath))
	if u.PINSource != "" {
		b.WriteString("&pin-source=" + escape("file:"+u.PINSource))
	}
	return b.String()
}

// escape percent-encodes all but the unreserved characters, / and :.
func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/:", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
