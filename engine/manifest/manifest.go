package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"
)

// The fixed names and bounds of the format.
const (
	// Version is the version of the document this package makes and reads.
	Version = 1
	// Type is the typ header of a manifest's JWS.
	Type = "vouchmill-manifest+json"
	// FileName is what a manifest is called in a tar file or directory.
	FileName = "manifest.json"
	// FileSuffix is what a manifest's name has after its bundle's, where it
	// lies beside it.
	FileSuffix = ".manifest.json"

	// MaxBytes bounds a manifest as written, in octets.
	MaxBytes = 64 << 20
	// MaxTemplates bounds the variants of a run that a manifest can state.
	MaxTemplates = 1 << 19
	// MaxName bounds the run's name, in octets.
	MaxName = 255
)

// Digest is a SHA-256 value; its text form is 64 lower-case hex digits.
type Digest [sha256.Size]byte

// String returns the hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText returns the hex digits.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText takes 64 hex digits.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 2*sha256.Size {
		return fail("", ErrSyntax, "a digest has %d hex digits, this one %d", 2*sha256.Size, len(text))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fail("", ErrSyntax, "%q is not hex", text)
	}
	return nil
}

// Template is what a manifest says of one variant of the run.
type Template struct {
	// SHA256 is the digest of the constants of the variant's template.
	SHA256 Digest `json:"sha256"`
}

// Manifest is what a run states about itself.
type Manifest struct {
	// Run is the name of the run: UTF-8, no control characters, 1 to MaxName octets.
	Run string
	// Format is the envelope: "cms", "jws" or "cose".
	Format string
	// Algorithm is the name of the vouchers' signature algorithm, "ES256".
	Algorithm string
	// Count is the number of vouchers, which is the size of the tree.
	Count uint64
	// CreatedOn is the run's, in whole seconds.
	CreatedOn time.Time
	// TreeRoot is the RFC 9162 tree hash over the run.
	TreeRoot Digest
	// Templates are the variants in their order.
	Templates []Template
}

// document is the JSON form; the order of the fields is that of the members.
type document struct {
	Version   int        `json:"vouchmill-manifest"`
	Run       string     `json:"run"`
	Format    string     `json:"format"`
	Algorithm string     `json:"algorithm"`
	Count     uint64     `json:"count"`
	CreatedOn string     `json:"created-on"`
	TreeRoot  Digest     `json:"tree-root"`
	Templates []Template `json:"templates"`
	Root      Digest     `json:"root"`
}

// rootLabel separates the root's hash from every other use of SHA-256.
const rootLabel = "vouchmill manifest v1\x00"

// Root is the digest over tree, count and templates: the one value that stands
// for the run.
func (m *Manifest) Root() Digest {
	templates := sha256.New()
	for i := range m.Templates {
		templates.Write(m.Templates[i].SHA256[:])
	}
	b := append([]byte(rootLabel), m.TreeRoot[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Count)
	return sha256.Sum256(templates.Sum(b))
}

// AppendJSON appends the payload: the one byte form of m, as the package
// comment describes it. The error is an [*Error] for a statement that no run
// can make.
func (m *Manifest) AppendJSON(dst []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	body, err := marshal(&document{
		Version: Version, Run: m.Run, Format: m.Format, Algorithm: m.Algorithm, Count: m.Count,
		CreatedOn: m.CreatedOn.UTC().Format(time.RFC3339), TreeRoot: m.TreeRoot,
		Templates: append([]Template{}, m.Templates...), Root: m.Root(),
	})
	if err != nil {
		return nil, &Error{Document: "manifest", Kind: ErrContent, Err: err}
	}
	return append(dst, body...), nil
}

// check holds what is true of every manifest, made or read.
func (m *Manifest) check() error {
	if err := checkName("run", m.Run); err != nil {
		return err
	}
	if err := checkName("algorithm", m.Algorithm); err != nil {
		return err
	}
	if !slices.Contains([]string{"cms", "jws", "cose"}, m.Format) {
		return fail("format", ErrContent, "%.40q is none of cms, jws and cose", m.Format)
	}
	if year := m.CreatedOn.UTC().Year(); m.CreatedOn.IsZero() || m.CreatedOn.Nanosecond() != 0 || year < 1 || year > 9999 {
		return fail("created-on", ErrContent, "%v is not a time in whole seconds", m.CreatedOn)
	}
	if len(m.Templates) > MaxTemplates {
		return fail("templates", ErrTooLarge, "%d of them, at most %d can be stated", len(m.Templates), MaxTemplates)
	}
	if m.Count > 0 && len(m.Templates) == 0 {
		return fail("templates", ErrContent, "%d vouchers were made from no template", m.Count)
	}
	if m.Count == 0 && m.TreeRoot != sha256.Sum256(nil) {
		return fail("tree-root", ErrContent, "the tree of no vouchers is the SHA-256 of nothing (RFC 9162 §2.1.1)")
	}
	return nil
}

func checkName(place, name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return fail(place, ErrContent, "a name is 1 to %d octets of UTF-8", MaxName)
	}
	for _, r := range name {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return fail(place, ErrContent, "a control character (U+%04X)", r)
		}
	}
	return nil
}

// ParseJSON reads a payload and holds it to its one form. The error is an
// [*Error].
func ParseJSON(payload []byte) (*Manifest, error) {
	if len(payload) > MaxBytes {
		return nil, fail("payload", ErrTooLarge, "%d octets, the limit is %d", len(payload), MaxBytes)
	}
	if err := checkVersion("manifest", "vouchmill-manifest", payload); err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(payload, &d); err != nil {
		return nil, &Error{Document: "manifest", Place: "payload", Kind: ErrSyntax, Err: err}
	}
	created, err := time.Parse(time.RFC3339, d.CreatedOn)
	if err != nil {
		return nil, &Error{Document: "manifest", Place: "created-on", Kind: ErrSyntax, Err: err}
	}
	m := &Manifest{Run: d.Run, Format: d.Format, Algorithm: d.Algorithm, Count: d.Count,
		CreatedOn: created.UTC(), TreeRoot: d.TreeRoot, Templates: d.Templates}
	if root := m.Root(); root != d.Root {
		return nil, fail("root", ErrContent, "it is %v, but tree-root, count and templates make %v", d.Root, root)
	}
	canonical, err := m.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canonical, payload) {
		return nil, fail("payload", ErrSyntax, "octet %d differs from the one form this content has", firstDifference(canonical, payload))
	}
	return m, nil
}

// checkVersion tells a document of another version from a malformed one.
func checkVersion(document, member string, body []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return &Error{Document: document, Kind: ErrSyntax, Detail: "not a JSON object", Err: err}
	}
	raw, ok := members[member]
	if !ok {
		return &Error{Document: document, Kind: ErrSyntax, Detail: "it has no member " + member, Remedy: "check that this is the right file"}
	}
	if string(raw) != "1" {
		return &Error{Document: document, Place: member, Kind: ErrVersion, Detail: string(raw[:min(len(raw), 20)]),
			Remedy: "this program reads version 1: use the release that wrote it, or a newer one"}
	}
	return nil
}

// marshal is json.Marshal without the escapes meant for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
