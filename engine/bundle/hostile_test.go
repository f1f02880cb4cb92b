package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/manifest"
)

func readBytes(b []byte) ([]bundle.Entry, bundle.Kind, error) {
	r, err := bundle.NewReader(bytes.NewReader(b), "test", bundle.ReadOptions{})
	if err != nil {
		return nil, 0, err
	}
	all, err := read(r)
	return all, r.Kind(), errors.Join(err, r.Close())
}

// tarOf packs members as they are, harmless or not.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, zeros{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUnsafeTarMembersAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		h    tar.Header
		want error
	}{
		"absolute":         {tar.Header{Name: "/etc/passwd", Size: 1}, bundle.ErrUnsafe},
		"parent":           {tar.Header{Name: "../x.vcj", Size: 1}, bundle.ErrUnsafe},
		"parent within":    {tar.Header{Name: "a/../../x.vcj", Size: 1}, bundle.ErrUnsafe},
		"backslash":        {tar.Header{Name: "..\\x.vcj", Size: 1}, bundle.ErrUnsafe},
		"drive":            {tar.Header{Name: "C:x.vcj", Size: 1}, bundle.ErrUnsafe},
		"symbolic link":    {tar.Header{Name: "x.vcj", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, bundle.ErrUnsafe},
		"hard link":        {tar.Header{Name: "x.vcj", Typeflag: tar.TypeLink, Linkname: "y.vcj"}, bundle.ErrUnsafe},
		"device":           {tar.Header{Name: "x.vcj", Typeflag: tar.TypeChar}, bundle.ErrUnsafe},
		"pipe":             {tar.Header{Name: "x.vcj", Typeflag: tar.TypeFifo}, bundle.ErrUnsafe},
		"large":            {tar.Header{Name: "x.vcj", Size: bundle.DefaultVoucherBytes + 1}, bundle.ErrTooLarge},
		"manifest not 1st": {tar.Header{Name: manifest.FileName, Size: 1}, bundle.ErrSyntax},
	} {
		b := tarOf(t, tar.Header{Name: "good.vcj", Size: 3}, tc.h)
		all, kind, err := readBytes(b)
		if !errors.Is(err, tc.want) || kind != bundle.KindTar || len(all) != 1 {
			t.Errorf("%s: %d entries, %v; want 1 and %v", name, len(all), err, tc.want)
		}
	}
	all, _, err := readBytes(tarOf(t, tar.Header{Name: "./", Typeflag: tar.TypeDir}, tar.Header{Name: "./sub/A.vjj", Size: 2}))
	if err != nil || len(all) != 1 || string(all[0].Serial) != "A" || all[0].Format != codec.FormatJWS {
		t.Errorf("packed by tar itself: %+v, %v", all, err)
	}
}

func TestMalformedLinesAndItemsAreRefusedWithTheirPlace(t *testing.T) {
	good := `{"serial-number":"a","format":"cms","voucher":"AAAA"}` + "\n"
	for name, line := range map[string]string{
		"unknown member":  `{"serial-number":"a","format":"cms","voucher":"AAAA","x":"y"}`,
		"member twice":    `{"serial-number":"a","serial-number":"b","format":"cms","voucher":"AAAA"}`,
		"missing voucher": `{"serial-number":"a","format":"cms"}`,
		"missing serial":  `{"format":"cms","voucher":"AAAA"}`,
		"empty serial":    `{"serial-number":"","format":"cms","voucher":"AAAA"}`,
		"unknown format":  `{"serial-number":"a","format":"pgp","voucher":"AAAA"}`,
		"bad base64":      `{"serial-number":"a","format":"cms","voucher":"AAA"}`,
		"loose base64":    `{"serial-number":"a","format":"cms","voucher":"AB=="}`,
		"number":          `{"serial-number":7,"format":"cms","voucher":"AAAA"}`,
		"nested":          `{"serial-number":{},"format":"cms","voucher":"AAAA"}`,
		"cut":             `{"serial-number":"a","format":"cms","vou`,
		"two objects":     `{"serial-number":"a","format":"cms","voucher":"AAAA"}{}`,
		"no object":       `[]`,
		"not UTF-8":       "{\"serial-number\":\"\xff\",\"format\":\"cms\",\"voucher\":\"AAAA\"}",
	} {
		all, kind, err := readBytes([]byte(good + line + "\n"))
		if !errors.Is(err, bundle.ErrSyntax) || kind != bundle.KindNDJSON || len(all) != 1 || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %d entries, %v", name, len(all), err)
		}
	}
	large := base64.StdEncoding.EncodeToString(make([]byte, bundle.DefaultVoucherBytes+1))
	for name, line := range map[string]string{
		"large voucher": `{"serial-number":"a","format":"cms","voucher":"` + large + `"}`,
		"large serial":  `{"serial-number":"` + strings.Repeat("a", 5000) + `","format":"cms","voucher":"AAAA"}`,
		"endless line":  `{"serial-number":"` + strings.Repeat("a", 1<<20),
	} {
		if _, _, err := readBytes([]byte(good + line)); !errors.Is(err, bundle.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}

	item := func(members map[string]any) []byte {
		b, err := cbor.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := item(map[string]any{"serial-number": "a", "format": "cms", "voucher": []byte{1}})
	for name, b := range map[string][]byte{
		"unknown member": item(map[string]any{"serial-number": "a", "format": "cms", "voucher": []byte{1}, "x": "y"}),
		"text voucher":   item(map[string]any{"serial-number": "a", "format": "cms", "voucher": "x"}),
		"octet serial":   item(map[string]any{"serial-number": []byte("a"), "format": "cms", "voucher": []byte{1}}),
		"unknown format": item(map[string]any{"serial-number": "a", "format": "pgp", "voucher": []byte{1}}),
		"missing":        item(map[string]any{"serial-number": "a", "format": "cms"}),
		"no voucher":     item(map[string]any{"serial-number": "a", "format": "cms", "idevid-issuer": []byte{1}}),
		"array":          {0x83, 1, 2, 3},
		"indefinite":     {0xbf, 0xff},
		"twice":          append([]byte{0xa3}, bytes.Repeat([]byte("\x66format\x63cms"), 3)...),
		"cut":            first[:len(first)-1],
		"cut head":       {0xb9, 0},
	} {
		all, kind, err := readBytes(append(bytes.Clone(first), b...))
		if !errors.Is(err, bundle.ErrSyntax) || kind != bundle.KindCBORSeq || len(all) != 1 || !strings.Contains(err.Error(), "item 2") {
			t.Errorf("CBOR, %s: %d entries, %v", name, len(all), err)
		}
	}
	claims := append(bytes.Clone(first), "\xa3\x67voucher\x5b\xff\xff\xff\xff\xff\xff\xff\xff"...)
	if _, _, err := readBytes(claims); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("CBOR that claims 2^64 octets: %v", err)
	}
}

func TestCBORItemsAreCoreDeterministic(t *testing.T) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	var want bytes.Buffer
	for _, e := range sample() {
		m := map[string]any{"serial-number": string(e.Serial), "format": e.Format.String(), "voucher": e.Voucher}
		if e.Issuer != nil {
			m["idevid-issuer"] = e.Issuer
		}
		b, err := mode.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want.Write(b)
	}
	path := filepath.Join(t.TempDir(), "b.cborseq")
	write(t, path, sample(), bundle.Options{})
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%x, %v; want %x", got, err, want.Bytes())
	}
}

func TestWhatIsBehindATarFileIsRefused(t *testing.T) {
	b := tarOf(t, tar.Header{Name: "A.vcj", Size: 3})
	if all, _, err := readBytes(append(bytes.Clone(b), make([]byte, 8192)...)); err != nil || len(all) != 1 {
		t.Errorf("padding: %d entries, %v", len(all), err)
	}
	if _, _, err := readBytes(append(bytes.Clone(b), b...)); !errors.Is(err, bundle.ErrSyntax) {
		t.Errorf("a second archive: %v", err)
	}
	if _, _, err := readBytes(append(bytes.Clone(b), make([]byte, 2<<20)...)); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("endless padding: %v", err)
	}
}

func TestCutBundlesNeverReadAsWhole(t *testing.T) {
	for _, name := range []string{"b.tar.gz", "b.tar.zst", "b.ndjson.gz", "b.cborseq", "b.ndjson"} {
		path := filepath.Join(t.TempDir(), name)
		entries := sample()[:3]
		write(t, path, entries, bundle.Options{})
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(b) - 1 {
			all, _, err := readBytes(b[:n])
			if err == nil && len(all) >= len(entries) {
				t.Errorf("%s: the first %d of %d octets read as a whole bundle", name, n, len(b))
			}
		}
	}
}

func TestCompressionBombsAreRefused(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 1); err != nil {
		t.Fatal(err)
	}
	line := []byte(`{"serial-number":"a","format":"cms","voucher":"` + strings.Repeat("AAAA", 4000) + "\"}\n")
	bomb.Reset()
	z.Reset(&bomb)
	for range 2000 {
		if _, err := z.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readBytes(bomb.Bytes()); !errors.Is(err, bundle.ErrExpansion) {
		t.Fatalf("%d octets for %d: %v", bomb.Len(), 2000*len(line), err)
	}
	r, err := bundle.NewReader(bytes.NewReader(bomb.Bytes()), "bomb", bundle.ReadOptions{MaxExpansion: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if all, err := read(r); err != nil || len(all) != 2000 {
		t.Fatalf("with the limit raised: %d entries, %v", len(all), err)
	}
}

func TestLoneVouchersAreNotTakenForBundles(t *testing.T) {
	for name, b := range map[string][]byte{
		"CMS": {0x30, 0x80, 0x06}, "COSE": {0xd2, 0x84, 0x43}, "untagged COSE": {0x84, 0x43}, "PEM": []byte("-----BEGIN CMS-----\n"),
		"JWS": []byte(`{"payload":"e30","signatures":[]}`), "payload": []byte(`{"ietf-voucher:voucher":{}}`), "CBOR payload": {0xa1, 0x19, 0x09, 0x93, 0xa0},
	} {
		all, kind, err := readBytes(b)
		if err != nil || kind != bundle.KindVouchers || len(all) != 1 || !bytes.Equal(all[0].Voucher, b) {
			t.Errorf("%s: %v, %+v, %v", name, kind, all, err)
		}
	}
	if _, _, err := readBytes(nil); !errors.Is(err, bundle.ErrSyntax) {
		t.Errorf("empty: %v", err)
	}
	if _, _, err := readBytes(make([]byte, bundle.DefaultVoucherBytes+1)); !errors.Is(err, bundle.ErrTooLarge) {
		t.Errorf("large: %v", err)
	}
}

func TestTamperedDirectoriesAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(dir string) error
		want   error
	}{
		"file too many": {func(d string) error { return os.WriteFile(filepath.Join(d, "more.vcj"), []byte("x"), 0o600) }, bundle.ErrSyntax},
		"file missing":  {func(d string) error { return os.Remove(filepath.Join(d, "Z-9.vcj")) }, os.ErrNotExist},
		"no order":      {func(d string) error { return os.Remove(filepath.Join(d, "order.txt")) }, bundle.ErrSyntax},
		"path in order": {func(d string) error { return os.WriteFile(filepath.Join(d, "order.txt"), []byte("../x.vcj\n"), 0o600) }, bundle.ErrUnsafe},
		"manifest again": {func(d string) error {
			return os.WriteFile(filepath.Join(d, "order.txt"), []byte("manifest.json\n"), 0o600)
		}, bundle.ErrUnsafe},
		"order cut":     {func(d string) error { return os.WriteFile(filepath.Join(d, "order.txt"), []byte("Z-9.vcj"), 0o600) }, bundle.ErrSyntax},
		"empty voucher": {func(d string) error { return os.Truncate(filepath.Join(d, "Z-9.vcj"), 0) }, bundle.ErrSyntax},
		"large voucher": {func(d string) error { return os.Truncate(filepath.Join(d, "Z-9.vcj"), 1<<20) }, bundle.ErrTooLarge},
		"link": {func(d string) error {
			if err := os.Remove(filepath.Join(d, "Z-9.vcj")); err != nil {
				return err
			}
			return os.Symlink("A.vcj", filepath.Join(d, "Z-9.vcj"))
		}, bundle.ErrUnsafe},
	} {
		dir := filepath.Join(t.TempDir(), "b")
		write(t, dir+"/", sample(), bundle.Options{Manifest: manifestText})
		if err := tc.change(dir); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readPath(t, dir); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestALooseDirectoryIsReadByName(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"c.vcj", "a.der", "b.vch", ".hidden"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, _, err := readPath(t, dir)
	if err != nil || len(all) != 3 || all[0].Place != "a.der" || all[0].Serial != nil || string(all[2].Serial) != "c" {
		t.Fatalf("%+v, %v", all, err)
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"b.tar", "b.ndjson", "b.cborseq", "b.tar.gz", "b.ndjson.zst"} {
		path := filepath.Join(f.TempDir(), name)
		write(f, path, sample(), bundle.Options{Manifest: manifestText})
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _, err := readBytes(b)
		if _, ok := errors.AsType[*bundle.Error](err); err != nil && !ok {
			t.Fatalf("%T: %v", err, err)
		}
		for _, e := range all {
			if len(e.Voucher) > bundle.DefaultVoucherBytes || e.Place == "" {
				t.Fatalf("%s: %d octets", e.Place, len(e.Voucher))
			}
		}
	})
}

func FuzzName(f *testing.F) {
	f.Add([]byte("CON.x"), []byte{1}, true)
	f.Add([]byte("../ü~%"), []byte(nil), false)
	f.Fuzz(func(t *testing.T, serial, keyID []byte, shared bool) {
		if !shared || len(keyID) == 0 {
			keyID = nil
		}
		name := string(bundle.AppendName(nil, serial, keyID, codec.FormatCOSE))
		if len(name) > 255 || strings.ContainsAny(name, "/\\: \x00") || strings.HasPrefix(name, ".") && len(serial) > 0 {
			t.Fatalf("%q", name)
		}
		if back, key, _, ok := bundle.ParseName(name); ok && (!bytes.Equal(back, serial) || !bytes.Equal(key, keyID)) {
			t.Fatalf("%q, %x come back as %q, %x", serial, keyID, back, key)
		}
	})
}

func TestClosingABrokenArchiveSaysNothingNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	write(t, path, sample(), bundle.Options{Manifest: manifestText})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b); i++ {
		b[i] = 0xff
	}
	r, err := bundle.NewReader(bytes.NewReader(b), "test", bundle.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(r); err == nil {
		t.Error("a broken archive was read")
	}
	if err := r.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}
