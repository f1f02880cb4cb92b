package bundle_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/manifest"
)

var created = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// files are one path for each form and compression.
var files = []string{"b.tar", "b.tar.gz", "b.tgz", "b.tar.zst", "b.ndjson", "b.ndjson.gz", "b.ndjson.zst",
	"b.cborseq", "b.cborseq.gz", "b.cborseq.zst", "b/"}

// sample is a run whose serials need escapes, and whose order is not the
// alphabet's.
func sample() []bundle.Entry {
	issuer := []byte{0x04, 0x06, 0x30, 0x04, 0x80, 0x02, 0xab, 0xcd}
	return []bundle.Entry{
		{Serial: []byte("Z-9"), Format: codec.FormatCMS, Voucher: []byte("\x30\x00cms")},
		{Serial: []byte(`a/"b\ ü`), Format: codec.FormatJWS, Voucher: []byte(`{"payload":""}`)},
		{Serial: []byte("shared"), Format: codec.FormatCOSE, Voucher: []byte{0xd2, 0x84}},
		{Serial: []byte("shared"), Issuer: issuer, IssuerKeyID: issuer[6:], Shared: true, Format: codec.FormatCOSE, Voucher: []byte{0xd2, 0x85}},
		{Serial: []byte(strings.Repeat("ü", 512)), Format: codec.FormatCMS, Voucher: bytes.Repeat([]byte{0x30}, 3000)},
		{Serial: []byte("A"), Issuer: issuer, IssuerKeyID: issuer[6:], Format: codec.FormatCMS, Voucher: []byte("x")},
	}
}

var manifestText = []byte(`{"payload":"e30","signatures":[]}` + "\n")

func write(t testing.TB, path string, entries []bundle.Entry, opts bundle.Options) {
	t.Helper()
	w, err := bundle.Create(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if err := w.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	if w.Count() != uint64(len(entries)) {
		t.Fatalf("count %d, want %d", w.Count(), len(entries))
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

// read reads a whole bundle, or as far as it goes.
func read(r *bundle.Reader) (all []bundle.Entry, err error) {
	for {
		var e bundle.Entry
		if err := r.Next(&e); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		e.Serial, e.Issuer, e.IssuerKeyID, e.Voucher = bytes.Clone(e.Serial), bytes.Clone(e.Issuer), bytes.Clone(e.IssuerKeyID), bytes.Clone(e.Voucher)
		all = append(all, e)
	}
}

func readPath(t testing.TB, path string) ([]bundle.Entry, []byte, error) {
	t.Helper()
	r, err := bundle.Open(path, bundle.ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	all, err := read(r)
	if e := r.Close(); e != nil {
		t.Fatal(e)
	}
	return all, r.Manifest(), err
}

func TestEveryFormReadsBackInRunOrder(t *testing.T) {
	for _, name := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), filepath.Base(name)) + name[len(strings.TrimSuffix(name, "/")):]
			want := sample()
			write(t, path, want, bundle.Options{Manifest: manifestText, ModTime: created})
			got, m, err := readPath(t, path)
			if err != nil || len(got) != len(want) {
				t.Fatalf("%d of %d entries, %v", len(got), len(want), err)
			}
			if !bytes.Equal(m, manifestText) {
				t.Errorf("manifest %q", m)
			}
			named := strings.Contains(name, "tar") || strings.Contains(name, "tgz") || strings.HasSuffix(name, "/")
			for i := range want {
				g, w := got[i], want[i]
				if !bytes.Equal(g.Voucher, w.Voucher) || g.Place == "" {
					t.Errorf("entry %d: %+v", i, g)
				}
				if named && len(w.Serial) > 200 { // a cut name does not tell
					if g.Serial != nil {
						t.Errorf("entry %d: serial %q from a cut name", i, g.Serial)
					}
					continue
				}
				if !bytes.Equal(g.Serial, w.Serial) || g.Format != w.Format || !named && !bytes.Equal(g.Issuer, w.Issuer) ||
					named && w.Shared && !bytes.Equal(g.IssuerKeyID, w.IssuerKeyID) {
					t.Errorf("entry %d: %+v, want %+v", i, g, w)
				}
			}
			left, err := os.ReadDir(filepath.Dir(filepath.Clean(path)))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range left {
				if strings.HasSuffix(f.Name(), ".tmp") {
					t.Errorf("%s is left", f.Name())
				}
			}
		})
	}
}

func TestTheSameRunGivesTheSameBytes(t *testing.T) {
	for _, name := range files[:len(files)-1] {
		var bodies [2][]byte
		for i := range bodies {
			path := filepath.Join(t.TempDir(), name)
			write(t, path, sample(), bundle.Options{ModTime: created})
			var err error
			if bodies[i], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(bodies[0], bodies[1]) {
			t.Errorf("%s differs from one export to the next", name)
		}
		kind, compression, err := bundle.KindOf(name)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w, err := bundle.NewStream(&out, "stream", bundle.Options{Kind: kind, Compression: compression, ModTime: created})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range sample() {
			if err := w.Add(&e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), bodies[0]) {
			t.Errorf("%s differs as a stream", name)
		}
	}
}

func TestLinesReadTheSameHoweverTheyAreWritten(t *testing.T) {
	own := `{"serial-number":"ü-1","idevid-issuer":"BAYwBIACq80=","format":"jws","voucher":"eyJ9"}`
	for _, line := range []string{
		own, own + "\r\n", " " + own,
		`{ "voucher": "eyJ9", "format": "jws", "idevid-issuer": "BAYwBIACq80=", "serial-number": "ü-1" }`,
		`{"serial-number":"\u00fc-1","idevid-issuer":"BAYwBIACq80=","format":"jws","voucher":"eyJ9"}`,
	} {
		r, err := bundle.NewReader(strings.NewReader(line), "test", bundle.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all, err := read(r)
		if err != nil || len(all) != 1 || string(all[0].Serial) != "ü-1" || len(all[0].Issuer) != 8 || all[0].Format != codec.FormatJWS || string(all[0].Voucher) != `{"}` {
			t.Errorf("%s: %+v, %v", line, all, err)
		}
	}
}

func TestNamesAreSafeAndUniqueAndReadBack(t *testing.T) {
	for serial, want := range map[string]string{
		"JADA123456789": "JADA123456789.vcj", "a b": "a%20b.vcj", "ü": "%C3%BC.vcj", ".": "%2E.vcj", "..": "%2E..vcj", ".ssh": "%2Essh.vcj",
		"../../etc": "%2E.%2F..%2Fetc.vcj", "-rf": "%2Drf.vcj", "a~b": "a%7Eb.vcj", "a%20b": "a%2520b.vcj", "a\\b:c": "a%5Cb%3Ac.vcj",
		"CON": "%43ON.vcj", "con": "%63on.vcj", "Com1": "%43om1.vcj", "lpt9.x": "%6Cpt9.x.vcj", "CONSOLE": "CONSOLE.vcj", "COM": "COM.vcj", "nul.a": "%6Eul.a.vcj",
	} {
		name := string(bundle.AppendName(nil, []byte(serial), nil, codec.FormatCMS))
		if name != want {
			t.Errorf("%q is called %s, want %s", serial, name, want)
		}
		back, keyID, format, ok := bundle.ParseName(name)
		if !ok || string(back) != serial || keyID != nil || format != codec.FormatCMS {
			t.Errorf("%s reads back as %q, %x, %v, %v", name, back, keyID, format, ok)
		}
	}
	if name := string(bundle.AppendName(nil, []byte("a"), []byte{0xab, 1}, codec.FormatCOSE)); name != "a~ab01.vch" {
		t.Errorf("shared: %s", name)
	}
	seen := map[string]bool{}
	for n := 60; n <= 1024; n++ {
		for _, key := range [][]byte{nil, {1}, bytes.Repeat([]byte{2}, 200)} {
			name := string(bundle.AppendName(nil, bytes.Repeat([]byte("\xff"), n), key, codec.FormatJWS))
			if len(name) > 255 || seen[name] {
				t.Fatalf("%d octets: %s of %d octets, seen before: %v", n, name, len(name), seen[name])
			}
			seen[name] = true
		}
	}
	for _, name := range []string{"", ".vcj", "a", "a.txt", "a%2.vcj", "a%zz.vcj", "%61.vcj", "a b.vcj", "a~x.vcj", "a~.vcj", "%c3%bc.vcj", "~ab.vcj"} {
		if serial, _, _, ok := bundle.ParseName(name); ok {
			t.Errorf("%q is taken for the name of %q", name, serial)
		}
	}
}

func TestExistingTargetsAreRefused(t *testing.T) {
	for _, name := range files {
		path := filepath.Join(t.TempDir(), "x") + name[1:]
		opts := bundle.Options{Manifest: manifestText}
		write(t, path, sample(), opts)
		if _, err := bundle.Create(path, opts); !errors.Is(err, bundle.ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "b.ndjson")
	write(t, path, sample(), bundle.Options{Manifest: manifestText})
	write(t, path, sample()[:1], bundle.Options{Replace: true})
	if all, m, err := readPath(t, path); err != nil || len(all) != 1 || m != nil {
		t.Errorf("after replacing: %d entries, manifest %q, %v", len(all), m, err)
	}
}

func TestATargetThatAppearsMeanwhileIsNotReplaced(t *testing.T) {
	for _, name := range []string{"b.tar", "b/"} {
		path := filepath.Join(t.TempDir(), "b.tar")
		if name == "b/" {
			path = filepath.Join(t.TempDir(), "b") + "/"
		}
		w, err := bundle.Create(path, bundle.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Clean(path), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); !errors.Is(err, bundle.ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(filepath.Clean(path)); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if left, err := os.ReadDir(filepath.Dir(filepath.Clean(path))); err != nil || len(left) != 1 {
			t.Errorf("%s: %v left, %v", name, left, err)
		}
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	for _, name := range files {
		dir := t.TempDir()
		w, err := bundle.Create(filepath.Join(dir, "x")+name[1:], bundle.Options{Manifest: manifestText})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(&sample()[0]); err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s: %v left, %v", name, left, err)
		}
		if err := w.Add(&sample()[0]); !errors.Is(err, bundle.ErrUsage) {
			t.Errorf("%s: Add after Abort: %v", name, err)
		}
	}
}

func TestEntriesThatNoFormHoldsAreRefusedAndTheRestGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar")
	w, err := bundle.Create(path, bundle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*bundle.Entry){
		"no serial":     func(e *bundle.Entry) { e.Serial = nil },
		"not UTF-8":     func(e *bundle.Entry) { e.Serial = []byte("\xff") },
		"no format":     func(e *bundle.Entry) { e.Format = codec.FormatUnknown },
		"no octets":     func(e *bundle.Entry) { e.Voucher = nil },
		"shared, no ID": func(e *bundle.Entry) { e.Shared = true },
	} {
		e := sample()[0]
		change(&e)
		if err := w.Add(&e); !errors.Is(err, bundle.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Add(&sample()[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if all, _, err := readPath(t, path); err != nil || len(all) != 1 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
}

func TestTwoVouchersOfOneNameInADirectoryAreRefused(t *testing.T) {
	w, err := bundle.Create(filepath.Join(t.TempDir(), "b")+"/", bundle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&sample()[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&sample()[0]); !errors.Is(err, bundle.ErrExists) {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, bundle.ErrExists) {
		t.Fatalf("Commit after a failure: %v", err)
	}
}

func TestWrongUseIsRefused(t *testing.T) {
	if _, err := bundle.Create("b.zip", bundle.Options{}); !errors.Is(err, bundle.ErrKind) {
		t.Errorf("unknown extension: %v", err)
	}
	for name, opts := range map[string]bundle.Options{
		"directory": {Kind: bundle.KindDir}, "no kind": {}, "manifest": {Kind: bundle.KindNDJSON, Manifest: manifestText},
		"compression": {Kind: bundle.KindTar, Compression: 9},
	} {
		if _, err := bundle.NewStream(io.Discard, "stream", opts); !errors.Is(err, bundle.ErrUsage) {
			t.Errorf("stream, %s: %v", name, err)
		}
	}
	if _, err := bundle.Create(filepath.Join(t.TempDir(), "none", "b.tar"), bundle.Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := bundle.NewReader(strings.NewReader(""), "x", bundle.ReadOptions{MaxVoucherBytes: -1}); !errors.Is(err, bundle.ErrUsage) {
		t.Errorf("limit: %v", err)
	}
}

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "order.ndjson")
	w, err := bundle.Create(path, bundle.Options{Manifest: []byte("signed elsewhere")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer w.Abort()
	if err := w.Add(&bundle.Entry{Serial: []byte("JADA123456789"), Format: codec.FormatCMS, Voucher: []byte("signed voucher")}); err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Commit(); err != nil {
		fmt.Println(err)
		return
	}
	text, err := os.ReadFile(path)
	fmt.Printf("%s%v\n", text, err)
	_, err = os.Stat(path + manifest.FileSuffix)
	fmt.Println(err)
	// Output:
	// {"serial-number":"JADA123456789","format":"cms","voucher":"c2lnbmVkIHZvdWNoZXI="}
	// <nil>
	// <nil>
}
