package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/sign"
)

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// party is a signer with its certificates.
type party struct {
	signer sign.Signer
	chain  []*x509.Certificate
	roots  []*x509.Certificate
}

func newParty(t testing.TB, alg *sign.Algorithm) party {
	t.Helper()
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: alg, CommonName: "Example MASA", NotBefore: start, NotAfter: start.AddDate(10, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.LoadKey(pki.SignerKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p party
	if p.signer, err = sign.NewSigner(alg, key, sign.Options{}); err != nil {
		t.Fatal(err)
	}
	if p.chain, err = sign.LoadChain(pki.Signer); err != nil {
		t.Fatal(err)
	}
	p.roots = p.chain[len(p.chain)-1:]
	return p
}

func newVerifier(t testing.TB) sign.Verifier {
	t.Helper()
	v, err := sign.NewVerifier(sign.VerifierOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func example() *manifest.Manifest {
	return &manifest.Manifest{Run: "acme <1> & \"2\"", Format: "cms", Algorithm: "ES256", Count: 3, CreatedOn: start.Add(time.Hour),
		TreeRoot: sha256.Sum256([]byte("tree")), Templates: []manifest.Template{{SHA256: sha256.Sum256([]byte("a"))}, {SHA256: sha256.Sum256([]byte("b"))}}}
}

func signed(t testing.TB, p party) []byte {
	t.Helper()
	text, err := manifest.Sign(example(), p.signer, p.chain)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSignedManifestsVerifyUnderEveryAlgorithm(t *testing.T) {
	for _, alg := range []*sign.Algorithm{sign.ES256, sign.ES384, sign.ES512, sign.Ed25519, sign.Ed448, sign.MLDSA44} {
		t.Run(alg.Name, func(t *testing.T) {
			p := newParty(t, alg)
			s, err := manifest.Parse(signed(t, p))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(newVerifier(t), p.roots, time.Time{}); err != nil {
				t.Fatal(err)
			}
			want, err := example().AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Manifest.AppendJSON(nil); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("read back %s, %v; want %s", got, err, want)
			}
		})
	}
}

func TestRootIsTheDocumentedHash(t *testing.T) {
	m := example()
	templates := sha256.Sum256(append(m.Templates[0].SHA256[:], m.Templates[1].SHA256[:]...))
	input := append([]byte("vouchmill manifest v1\x00"), m.TreeRoot[:]...)
	input = append(append(input, 0, 0, 0, 0, 0, 0, 0, 3), templates[:]...)
	if got, want := m.Root(), manifest.Digest(sha256.Sum256(input)); got != want {
		t.Fatalf("root %v, want %v", got, want)
	}
	changed := example()
	changed.Count++
	if changed.Root() == m.Root() {
		t.Fatal("the root does not depend on the count")
	}
}

func TestDeterministicSignersGiveTheSameManifest(t *testing.T) {
	p := newParty(t, sign.ES256)
	if !p.signer.Deterministic() || !bytes.Equal(signed(t, p), signed(t, p)) {
		t.Fatal("two manifests of one run differ")
	}
}

func TestUntrustedManifestsAreRefused(t *testing.T) {
	p, other := newParty(t, sign.ES256), newParty(t, sign.ES256)
	s, err := manifest.Parse(signed(t, p))
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t)
	for name, err := range map[string]error{
		"another root": s.Verify(v, other.roots, time.Time{}),
		"no roots":     s.Verify(v, nil, time.Time{}),
		"expired":      s.Verify(v, p.roots, start.AddDate(20, 0, 0)),
		"not yet":      s.Verify(v, p.roots, start.AddDate(-1, 0, 0)),
	} {
		if !errors.Is(err, manifest.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := manifest.Sign(example(), p.signer, other.chain); !errors.Is(err, manifest.ErrContent) {
		t.Errorf("a chain of another key: %v", err)
	}
	if _, err := manifest.Sign(example(), p.signer, nil); !errors.Is(err, manifest.ErrContent) {
		t.Errorf("no chain: %v", err)
	}
}

// edit changes one part of a manifest's JWS, decoded.
func edit(t *testing.T, text []byte, part string, change func([]byte) []byte) []byte {
	t.Helper()
	var e struct {
		Payload    string `json:"payload"`
		Signatures []struct {
			Protected string `json:"protected"`
			Signature string `json:"signature"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	field := map[string]*string{"payload": &e.Payload, "protected": &e.Signatures[0].Protected, "signature": &e.Signatures[0].Signature}[part]
	raw, err := base64.RawURLEncoding.DecodeString(*field)
	if err != nil {
		t.Fatal(err)
	}
	*field = base64.RawURLEncoding.EncodeToString(change(raw))
	out, err := json.Marshal(&e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		changed := bytes.Replace(b, []byte(old), []byte(new), 1)
		if bytes.Equal(changed, b) {
			panic("the test changes nothing: " + old)
		}
		return changed
	}
}

func TestAlteredManifestsAreRefused(t *testing.T) {
	p := newParty(t, sign.ES256)
	good := signed(t, p)
	for _, tc := range []struct {
		name, part, old, new string
		want                 error
	}{
		{"another run", "payload", `"run":"acme`, `"run":"acmE`, manifest.ErrSignature},
		{"another count", "payload", `"count":3`, `"count":4`, manifest.ErrContent},
		{"another version", "payload", `"vouchmill-manifest":1`, `"vouchmill-manifest":2`, manifest.ErrVersion},
		{"no version", "payload", `"vouchmill-manifest":1,`, ``, manifest.ErrSyntax},
		{"unknown member", "payload", `"count":3`, `"count":3,"made-by":"x"`, manifest.ErrSyntax},
		{"repeated member", "payload", `"count":3`, `"count":3,"count":3`, manifest.ErrSyntax},
		{"member in capitals", "payload", `"count":3`, `"COUNT":3`, manifest.ErrSyntax},
		{"white space", "payload", `"count":3`, `"count": 3`, manifest.ErrSyntax},
		{"unknown format", "payload", `"cms"`, `"pgp"`, manifest.ErrContent},
		{"offset in the time", "payload", `01:00:00Z`, `02:00:00+01:00`, manifest.ErrSyntax},
		{"no time", "payload", `2026-03-01T01:00:00Z`, `yesterday`, manifest.ErrSyntax},
		{"short digest", "payload", `"tree-root":"`, `"tree-root":"00`, manifest.ErrSyntax},
		{"critical header", "protected", `"alg"`, `"crit":["b64"],"alg"`, manifest.ErrSyntax},
		{"algorithm confusion", "protected", `ES256`, `HS256`, manifest.ErrContent},
		{"algorithm none", "protected", `ES256`, `none`, manifest.ErrContent},
		{"another curve", "protected", `ES256`, `ES384`, manifest.ErrContent},
		{"another type", "protected", `manifest+json`, `jws+json`, manifest.ErrSyntax},
		{"no certificate", "protected", `"x5c":["`, `"x5c":["","`, manifest.ErrSyntax},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := manifest.Parse(edit(t, good, tc.part, replace(tc.old, tc.new)))
			if err == nil {
				err = s.Verify(newVerifier(t), p.roots, time.Time{})
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if _, ok := errors.AsType[*manifest.Error](err); !ok {
				t.Fatalf("%T", err)
			}
		})
	}
	flipped, err := manifest.Parse(edit(t, good, "signature", func(b []byte) []byte { b[40] ^= 1; return b }))
	if err != nil {
		t.Fatal(err)
	}
	if err := flipped.VerifySignature(newVerifier(t)); !errors.Is(err, manifest.ErrSignature) {
		t.Fatalf("a flipped bit in the signature: %v", err)
	}
	if _, err := manifest.Parse(bytes.Replace(good, []byte(`{"payload"`), []byte(`{"header":{},"payload"`), 1)); !errors.Is(err, manifest.ErrSyntax) {
		t.Fatalf("an unprotected header: %v", err)
	}
}

func TestTruncatedManifestsAreRefused(t *testing.T) {
	good := bytes.TrimSpace(signed(t, newParty(t, sign.ES256)))
	for n := range good {
		if _, err := manifest.Parse(good[:n]); err == nil {
			t.Fatalf("the first %d of %d octets are taken", n, len(good))
		}
	}
}

func TestWhiteSpaceAroundTheOutermostJSONIsAccepted(t *testing.T) {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, signed(t, newParty(t, sign.ES256)), "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Parse(pretty.Bytes()); err != nil {
		t.Fatal(err)
	}
}

func TestStatementsNoRunMakesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*manifest.Manifest){
		"no name":           func(m *manifest.Manifest) { m.Run = "" },
		"long name":         func(m *manifest.Manifest) { m.Run = strings.Repeat("r", 256) },
		"control character": func(m *manifest.Manifest) { m.Run = "a\nb" },
		"not UTF-8":         func(m *manifest.Manifest) { m.Run = "\xff" },
		"fraction":          func(m *manifest.Manifest) { m.CreatedOn = start.Add(1) },
		"zero time":         func(m *manifest.Manifest) { m.CreatedOn = time.Time{} },
		"no template":       func(m *manifest.Manifest) { m.Templates = nil },
		"empty tree":        func(m *manifest.Manifest) { m.Count = 0 },
	} {
		m := example()
		change(m)
		if _, err := m.AppendJSON(nil); !errors.Is(err, manifest.ErrContent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// proofOf makes the proof of leaf i in a tree of n, and the manifest it is for.
func proofOf(t testing.TB, i, n uint64) (*manifest.Proof, *manifest.Manifest, manifest.Digest) {
	t.Helper()
	leaves := make([]merkle.Hash, n)
	var tree merkle.Range
	for j := range leaves {
		leaves[j] = merkle.Hash(manifest.LeafHash(fmt.Append(nil, j), []byte("signature")))
		tree.Append(leaves[j])
	}
	var subtree func(level uint8, index uint64) (merkle.Hash, error)
	subtree = func(level uint8, index uint64) (merkle.Hash, error) {
		if level == 0 {
			return leaves[index], nil
		}
		left, err := subtree(level-1, 2*index)
		if err != nil {
			return left, err
		}
		right, err := subtree(level-1, 2*index+1)
		return merkle.NodeHash(left, right), err
	}
	path, err := merkle.InclusionProof(i, n, subtree)
	if err != nil {
		t.Fatal(err)
	}
	m := example()
	m.Count, m.TreeRoot = n, manifest.Digest(tree.Root())
	p := &manifest.Proof{Run: m.Run, Index: i, Size: n, Leaf: manifest.Digest(leaves[i]), Root: m.Root()}
	for _, h := range path {
		p.Path = append(p.Path, manifest.Digest(h))
	}
	return p, m, p.Leaf
}

func TestProofsHoldForEveryVoucherAndNoOther(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 7, 8, 13} {
		for i := range n {
			p, m, leaf := proofOf(t, i, n)
			text, err := p.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			read, err := manifest.ParseProof(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := read.Verify(m, leaf); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			for name, change := range map[string]func(){
				"index": func() { read.Index++ },
				"leaf":  func() { read.Leaf[0] ^= 1 },
				"root":  func() { read.Root[0] ^= 1 },
				"size":  func() { read.Size++ },
				"path":  func() { read.Path = append(read.Path, manifest.Digest{}) },
			} {
				if read, err = manifest.ParseProof(text); err != nil {
					t.Fatal(err)
				}
				change()
				if err := read.Verify(m, leaf); !errors.Is(err, manifest.ErrProof) {
					t.Errorf("leaf %d of %d with another %s: %v", i, n, name, err)
				}
			}
		}
	}
}

func TestMalformedProofsAreRefused(t *testing.T) {
	p, _, _ := proofOf(t, 1, 5)
	good, err := p.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		text []byte
		want error
	}{
		"empty":           {nil, manifest.ErrSyntax},
		"another version": {replace(`"vouchmill-proof":1`, `"vouchmill-proof":9`)(good), manifest.ErrVersion},
		"unknown member":  {replace(`"leaf-index"`, `"x":1,"leaf-index"`)(good), manifest.ErrSyntax},
		"outside":         {replace(`"leaf-index":1`, `"leaf-index":5`)(good), manifest.ErrContent},
		"long":            {bytes.Repeat([]byte(" "), manifest.MaxProofBytes+1), manifest.ErrTooLarge},
		"long path":       {replace(`"path":[`, `"path":[`+strings.Repeat(`"`+strings.Repeat("0", 64)+`",`, 64))(good), manifest.ErrTooLarge},
	} {
		if _, err := manifest.ParseProof(tc.text); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(signed(f, newParty(f, sign.ES256)))
	f.Add([]byte(`{"payload":"e30","signatures":[{"protected":"e30","signature":""}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := manifest.Parse(text)
		if err != nil {
			return
		}
		payload, err := s.Manifest.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manifest.ParseJSON(payload); err != nil {
			t.Fatal(err)
		}
	})
}
