package sign

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vectorsDir finds the public vectors, which are not part of this project.
func vectorsDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("VOUCHMILL_VECTORS")
	if dir == "" {
		dir = searchVectors(t)
	}
	if _, err := os.Stat(filepath.Join(dir, "wycheproof")); dir == "" || err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the vectors are missing: set VOUCHMILL_VECTORS")
		}
		t.Skip("no vectors: set VOUCHMILL_VECTORS to their folder")
	}
	return dir
}

// searchVectors looks for ../shared/vectors from the module root upward.
func searchVectors(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	inModule := true
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			inModule = false
		}
		candidate := filepath.Join(parent, "shared", "vectors")
		if _, err := os.Stat(candidate); err == nil && !inModule {
			return candidate
		}
	}
	return ""
}

type wycheproofFile struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyDER string
		Tests        []struct {
			TcID                      int
			Comment, Msg, Sig, Result string
		}
	}
}

func loadWycheproof(t *testing.T, name string) *wycheproofFile {
	t.Helper()
	file := new(wycheproofFile)
	decodeWycheproof(t, name, file)
	return file
}

func decodeWycheproof(t *testing.T, name string, file any) {
	t.Helper()
	f, err := os.Open(filepath.Join(vectorsDir(t), "wycheproof", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(file); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWycheproof(t *testing.T) {
	oneGoroutine(t)
	for _, c := range []struct {
		file string
		alg  *Algorithm
		der  bool // signatures are Ecdsa-Sig-Value
	}{
		{"ecdsa_secp256r1_sha256_p1363_test", ES256, false},
		{"ecdsa_secp256r1_sha256_test", ES256, true},
		{"ecdsa_secp384r1_sha384_p1363_test", ES384, false},
		{"ecdsa_secp384r1_sha384_test", ES384, true},
		{"ecdsa_secp521r1_sha512_p1363_test", ES512, false},
		{"ed25519_test", Ed25519, false},
		{"ed448_test", Ed448, false},
		{"rsa_signature_2048_sha256_test", RS256, false},
		{"rsa_pss_2048_sha256_mgf1_32_test", PS256, false},
	} {
		for _, impl := range VerifierImplementations() {
			t.Run(c.file+"/"+impl, func(t *testing.T) {
				v, err := NewVerifier(VerifierOptions{Impl: impl})
				if err != nil {
					t.Fatal(err)
				}
				runWycheproof(t, v, c.alg, loadWycheproof(t, c.file), c.der)
			})
		}
	}
}

// runWycheproof gives all signatures of a file to the verifier as one batch,
// as they would come in earnest: good ones beside bad ones.
func runWycheproof(t *testing.T, v Verifier, alg *Algorithm, file *wycheproofFile, der bool) {
	var items []VerifyItem
	var results, names []string
	tests := 0
	for _, group := range file.TestGroups {
		pub := prepared(t, alg, unhex(t, group.PublicKeyDER))
		for _, test := range group.Tests {
			tests++
			input, sig := unhex(t, test.Msg), unhex(t, test.Sig)
			if !alg.Message {
				input = alg.Hash.Append(nil, input)
			}
			if der {
				raw := make([]byte, alg.SignatureSize)
				if rawFromDER(raw, sig) != nil {
					if test.Result == "valid" {
						t.Errorf("%d %s: valid DER refused", test.TcID, test.Comment)
					}
					continue
				}
				sig = raw
			}
			items = append(items, VerifyItem{Key: pub, Input: input, Signature: sig})
			results, names = append(results, test.Result), append(names, test.Comment)
		}
	}
	if tests != file.NumberOfTests {
		t.Errorf("%d tests were run, the file has %d", tests, file.NumberOfTests)
	}
	v.VerifyBatch(items)
	for i, item := range items {
		if results[i] != "acceptable" && (item.Err == nil) != (results[i] == "valid") {
			t.Errorf("%s: %v, want %s", names[i], item.Err, results[i])
		}
	}
}

func prepared(t *testing.T, alg *Algorithm, spki []byte) *PublicKey {
	t.Helper()
	key, err := ParsePublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := PreparePublicKey(alg, key)
	if err != nil {
		t.Fatal(err)
	}
	return pub
}
