package profile

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
)

// Key describes one key of a profile, which is one flag too.
type Key struct {
	Name    string
	Values  string // what it takes
	Default string // what is done where it is unset
	Meaning string
}

// key is a Key and how it is set.
type key struct {
	Key
	text func(s *Settings, text string) error
	list func(s *Settings, entries []entry) error // nil: scalars only
	copy func(to, from *Settings)
	mark func(s *Settings, line int)
}

// entry is one item of a sequence or mapping; name is "" in a sequence.
type entry struct{ name, value string }

// of makes a key whose value is in the field that at returns.
func of[T any](name, values, def, meaning string, at func(*Settings) *Setting[T], parse func(string) (T, error)) key {
	return key{
		Key: Key{Name: name, Values: values, Default: def, Meaning: meaning},
		text: func(s *Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				at(s).Put(v)
			}
			return err
		},
		copy: func(to, from *Settings) {
			if f := at(from); f.set {
				*at(to) = *f
			}
		},
		mark: func(s *Settings, line int) { at(s).line = line },
	}
}

// withList lets a key take sequences or mappings too.
func withList[T any](k key, at func(*Settings) *Setting[[]T], parse func(entry) (T, error), check func([]T) error) key {
	set := func(s *Settings, entries []entry) error {
		if len(entries) == 0 {
			return fmt.Errorf("it is empty; remove the key or give it a value")
		}
		var values []T
		for _, e := range entries {
			v, err := parse(e)
			if err != nil {
				return err
			}
			values = append(values, v)
		}
		if err := check(values); err != nil {
			return err
		}
		at(s).Put(values)
		return nil
	}
	k.list = set
	k.text = func(s *Settings, text string) error {
		var entries []entry
		for part := range strings.SplitSeq(text, ",") {
			entries = append(entries, entry{value: part})
		}
		return set(s, entries)
	}
	return k
}

// keys is the table: what a profile and the flags of issue may say.
var keys = []key{
	of("format", "cms, jws or cose", "cms", "the signed envelope of the vouchers", func(s *Settings) *Setting[codec.Format] { return &s.Format }, codec.ParseFormat),
	of("key", "FILE or pkcs11:URI", "required", "private key of the voucher signer: PEM, or on a token (RFC 7512)", func(s *Settings) *Setting[string] { return &s.Key }, fileName),
	of("key-pass-file", "FILE", "VOUCHMILL_KEY_PASS, else a prompt", "file whose first line decrypts the key", func(s *Settings) *Setting[string] { return &s.KeyPassFile }, fileName),
	of("cert", "FILE", "required", "certificate of the voucher signer, then its chain, PEM", func(s *Settings) *Setting[string] { return &s.Cert }, fileName),
	of("hedged", "true or false", "false", "mix randomness into ECDSA signatures; the run is then not reproducible", func(s *Settings) *Setting[bool] { return &s.Hedged }, boolean),
	of("check", "some or all", "some", "verify the first signature and at least one in 256 before their batch is kept, or every one; the wide signer proves large batches besides", func(s *Settings) *Setting[string] { return &s.SelfCheck }, oneOf("some", "all")),
	of("econtent", "anima or data", "anima", "content type of CMS: id-ct-animaJSONVoucher, or id-data for old pledges", func(s *Settings) *Setting[string] { return &s.EContent }, oneOf("anima", "data")),
	of("signing-time", "none or created-on", "none", "signed attribute signing-time of CMS", func(s *Settings) *Setting[string] { return &s.SigningTime }, oneOf("none", "created-on")),

	of("created-on", "TIME", "the start of the run", "created-on of every voucher", func(s *Settings) *Setting[time.Time] { return &s.CreatedOn }, wholeTime),
	of("expires-on", "TIME, DURATION or never", "required", "expires-on of every voucher; durations count from created-on", func(s *Settings) *Setting[Expiry] { return &s.ExpiresOn }, ParseExpiry),
	of("last-renewal-date", "TIME or DURATION", "absent", "last-renewal-date of every voucher; durations count from created-on", func(s *Settings) *Setting[Expiry] { return &s.LastRenewalDate }, renewal),
	of("assertion", "logged or verified", "logged", "what the manufacturer states about owner and device", func(s *Settings) *Setting[codec.Assertion] { return &s.Assertion }, assertion),
	withList(of("pin", "FILE, or a mapping of NAME: FILE", "required", "certificate of the domain to pin, PEM or DER; names are what the list's pinned-domain-cert column says",
		func(s *Settings) *Setting[[]Pin] { return &s.Pins }, noText[[]Pin]),
		func(s *Settings) *Setting[[]Pin] { return &s.Pins }, pin, checkPins),
	of("pin-as", "cert, pubk or pubk-sha256", "cert", "pin the whole certificate, its public key, or the key's SHA-256", func(s *Settings) *Setting[PinAs] { return &s.PinAs }, pinAs),
	of("include-issuer", "true or false", "false", "put the list's idevid-issuer into the vouchers", func(s *Settings) *Setting[bool] { return &s.IncludeIssuer }, boolean),
	of("idevid-issuer", "HEX", "absent", "idevid-issuer of every voucher whose device states none", func(s *Settings) *Setting[[]byte] { return &s.IDevIDIssuer }, hexOctets),
	of("domain-cert-revocation-checks", "true or false", "absent", "whether pledges must check revocation of the pinned certificate", func(s *Settings) *Setting[bool] { return &s.DomainCertRevocationChecks }, boolean),
	of("est-domain", "URL", "absent", "EST server the pledge continues with (RFC 8366bis)", func(s *Settings) *Setting[string] { return &s.EstDomain }, absoluteURL),
	of("additional-configuration-url", "URL", "absent", "where the pledge finds more configuration (RFC 8366bis)", func(s *Settings) *Setting[string] { return &s.AdditionalConfigurationURL }, absoluteURL),
	withList(of("extensions", "a sequence of names and SIDs", "absent", "extension modules in use (RFC 8366bis)",
		func(s *Settings) *Setting[[]codec.Extension] { return &s.Extensions }, noText[[]codec.Extension]),
		func(s *Settings) *Setting[[]codec.Extension] { return &s.Extensions }, extension, checkExtensions),
	of("manufacturer-proprietary", "BASE64", "absent", "manufacturer-proprietary of every voucher", func(s *Settings) *Setting[[]byte] { return &s.ManufacturerProprietary }, base64Octets),

	of("devices", "FILE or -", "required", "list of the devices", func(s *Settings) *Setting[string] { return &s.Devices }, fileName),
	of("list-format", "auto, csv, ndjson, cborseq, pem, der or dir", "auto", "form of the list", func(s *Settings) *Setting[list.Format] { return &s.ListFormat }, list.ParseFormat),
	of("delimiter", "comma, semicolon or tab", "told from the header row", "what separates the fields of a CSV list", func(s *Settings) *Setting[byte] { return &s.Delimiter }, delimiter),
	of("serial-from", "subject, hw-module-name or cn", "subject", "where a certificate's serial number is taken from", func(s *Settings) *Setting[string] { return &s.SerialFrom }, oneOf("subject", "hw-module-name", "cn")),
	of("serial-bytes", "1 to 1024", "64", "longest serial number accepted, in octets", func(s *Settings) *Setting[int] { return &s.SerialBytes }, between(1, list.MaxSerialBytes)),
	of("row-bytes", "1 to 4194304", "65536", "longest row of the list accepted, in octets", func(s *Settings) *Setting[int] { return &s.RowBytes }, between(1, list.MaxRowBytes)),
	of("max-expansion", "1 to 1048576", "250", "how many octets one octet of a compressed list may become", func(s *Settings) *Setting[int] { return &s.MaxExpansion }, between(1, 1<<20)),

	of("store", "DIR", "required", "store that keeps the vouchers", func(s *Settings) *Setting[string] { return &s.Store }, fileName),
	of("run", "NAME", "the unfinished run with these settings, else a new one", "name of the run", func(s *Settings) *Setting[string] { return &s.Run }, runName),
	of("on-error", "stop or skip", "stop", "what a bad row does", func(s *Settings) *Setting[string] { return &s.OnError }, oneOf("stop", "skip")),
	of("rejects", "FILE", "none", "file that gets the rows skipped, with the reasons", func(s *Settings) *Setting[string] { return &s.Rejects }, fileName),
	of("delta", "RUN", "none", "earlier run: sign only devices that are new, changed or expiring since", func(s *Settings) *Setting[string] { return &s.Delta }, runName),
	of("renew-before", "DURATION", "30d", "how long before its end a voucher of the earlier run counts as expiring", func(s *Settings) *Setting[time.Duration] { return &s.RenewBefore }, ParseDuration),
	of("dry-run", "true or false", "false", "check the whole list and sign nothing", func(s *Settings) *Setting[bool] { return &s.DryRun }, boolean),
	of("workers", "1 to 1024", "one a processor", "how many goroutines sign", func(s *Settings) *Setting[int] { return &s.Workers }, between(1, 1024)),
	of("progress", "auto, bar, plain, json or none", "auto", "how progress is shown on standard error", func(s *Settings) *Setting[string] { return &s.Progress }, oneOf("auto", "bar", "plain", "json", "none")),
	of("stats", "true or false", "false", "print where the time went", func(s *Settings) *Setting[bool] { return &s.Stats }, boolean),
	of("json", "true or false", "false", "print the result as JSON", func(s *Settings) *Setting[bool] { return &s.JSON }, boolean),
}

// Keys lists all keys, in the order in which one would write a profile.
func Keys() []Key {
	all := make([]Key, len(keys))
	for i := range keys {
		all[i] = keys[i].Key
	}
	return all
}

// Describe writes all keys with what they take, their default and meaning.
func Describe(w io.Writer) error {
	for _, k := range Keys() {
		if _, err := fmt.Fprintf(w, "%s: %s\n    %s.\n    Default: %s.\n", k.Name, k.Values, k.Meaning, k.Default); err != nil {
			return err
		}
	}
	return nil
}

func keyByName(name string) *key {
	for i := range keys {
		if keys[i].Name == name {
			return &keys[i]
		}
	}
	return nil
}

// noText stands where withList says what text means.
func noText[T any](string) (v T, err error) { return v, nil }

func oneOf(names ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(names, text) {
			return "", fmt.Errorf("%.40q is none of %s", text, strings.Join(names, ", "))
		}
		return text, nil
	}
}

func between(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("%.40q is not a number from %d to %d", text, low, high)
		}
		return n, nil
	}
}

func boolean(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, fmt.Errorf("%.40q is neither true nor false", text)
	}
	return text == "true", nil
}

func fileName(text string) (string, error) {
	if text == "" || strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%.40q is not the name of a file", text)
	}
	return text, nil
}

// runNames are the names engine/run and the store take.
var runNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CheckRunName reports whether name may name a run: 1 to 64 characters of
// A-Z a-z 0-9 . _ - that begin with a letter or digit.
func CheckRunName(name string) error {
	if !runNames.MatchString(name) {
		return fmt.Errorf("%.80q is not a run's name: want 1 to 64 characters of A-Z a-z 0-9 . _ - that begin with a letter or digit", name)
	}
	return nil
}

func runName(text string) (string, error) { return text, CheckRunName(text) }

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

func wholeTime(text string) (time.Time, error) {
	t, err := ParseTime(text)
	if err == nil && t.Nanosecond() != 0 {
		return t, fmt.Errorf("%q has a fraction of a second; vouchers are made in whole seconds", text)
	}
	return t, err
}

func renewal(text string) (Expiry, error) {
	e, err := ParseExpiry(text)
	if err == nil && e.Never {
		return e, fmt.Errorf("never is not a date; leave last-renewal-date out")
	}
	return e, err
}

func assertion(text string) (codec.Assertion, error) {
	a, err := codec.ParseAssertion(text)
	if a == codec.AssertionProximity || a == codec.AssertionAgentProximity {
		return a, fmt.Errorf("%s states what nobody observed: a nonceless voucher is logged or verified (RFC 8995 §5.11)", text)
	}
	return a, err
}

func pinAs(text string) (PinAs, error) {
	i := slices.Index(pinAsNames, text)
	if i < 0 {
		return 0, fmt.Errorf("%.40q is none of %s", text, strings.Join(pinAsNames, ", "))
	}
	return PinAs(i), nil
}

// pin takes NAME: FILE of a mapping, else [NAME=]FILE.
func pin(e entry) (Pin, error) {
	p := Pin{Name: e.name, File: e.value}
	if e.name == "" {
		// A path before the sign is no name: ./a=b.pem is a file.
		if name, file, named := strings.Cut(e.value, "="); named && !strings.ContainsAny(name, `/\`) {
			if name == "" {
				return p, fmt.Errorf("%.80q names nothing before the =", e.value)
			}
			p = Pin{Name: name, File: file}
		}
	}
	if strings.ContainsFunc(p.Name, control) || !utf8.ValidString(p.Name) {
		return p, fmt.Errorf("%.80q is not a name for a pin", p.Name)
	}
	_, err := fileName(p.File)
	return p, err
}

func checkPins(pins []Pin) error {
	seen := map[string]bool{}
	for _, p := range pins {
		if seen[p.Name] {
			if p.Name == "" {
				return fmt.Errorf("several pins need names: NAME=FILE, or a mapping of NAME: FILE")
			}
			return fmt.Errorf("two pins are called %.80q", p.Name)
		}
		seen[p.Name] = true
	}
	return nil
}

func hexOctets(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%.80q is not hex, as 04:18:30:16 or 04183016", text)
	}
	return b, nil
}

func base64Octets(text string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%.40q is not base64 with its padding", text)
	}
	return b, nil
}

func absoluteURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || u.Host == "" {
		return "", fmt.Errorf("%.80q is not an absolute URL, as https://est.example.com/", text)
	}
	return text, nil
}

func extension(e entry) (codec.Extension, error) {
	if e.name != "" {
		return codec.Extension{}, fmt.Errorf("a mapping where a sequence of names and SIDs belongs")
	}
	if sid, err := strconv.ParseUint(e.value, 10, 64); err == nil {
		return codec.Extension{SID: sid}, nil
	}
	if e.value == "" || !utf8.ValidString(e.value) || strings.ContainsFunc(e.value, control) {
		return codec.Extension{}, fmt.Errorf("%.80q is neither the name of a module nor a SID", e.value)
	}
	return codec.Extension{Name: []byte(e.value)}, nil
}

func checkExtensions(all []codec.Extension) error {
	if limit := codec.DefaultLimits().Extensions; len(all) > limit {
		return fmt.Errorf("%d extensions, the limit is %d", len(all), limit)
	}
	return nil
}

func delimiter(text string) (byte, error) {
	switch text {
	case "comma", ",":
		return ',', nil
	case "semicolon", ";":
		return ';', nil
	case "tab", "\t":
		return '\t', nil
	}
	return 0, fmt.Errorf("%.40q is none of comma, semicolon and tab", text)
}
