package fuzz

import (
	"bytes"
	"io"
	"testing"

	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/sign"
)

func FuzzManifest(f *testing.F) {
	seeds(f, "records")
	f.Fuzz(func(t *testing.T, text []byte) {
		var s *manifest.Signed
		var err error
		frugal(t, len(text), func() { s, err = manifest.Parse(text) })
		if err != nil {
			if !isA[*manifest.Error](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		statement(t, s.Manifest)
		verifier, err := sign.NewVerifier(sign.VerifierOptions{})
		must(t, err)
		if err := s.VerifySignature(verifier); err != nil && !isA[*manifest.Error](err) {
			t.Fatalf("error of type %T: %v", err, err)
		}
	})
}

// statement holds that a manifest has one form.
func statement(t *testing.T, m *manifest.Manifest) []byte {
	t.Helper()
	written, err := m.AppendJSON(nil)
	must(t, err)
	back, err := manifest.ParseJSON(written)
	must(t, err)
	same(t, "the manifest read again", back.Root(), m.Root())
	return written
}

func FuzzManifestPayload(f *testing.F) {
	f.Add([]byte(`{"vouchmill-manifest":1,"run":"r","format":"cms","algorithm":"ES256","count":1,"created-on":"2026-11-24T10:00:00Z","tree-root":"` +
		`0000000000000000000000000000000000000000000000000000000000000000","templates":[{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}],"root":"` +
		`0000000000000000000000000000000000000000000000000000000000000000"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m, err := manifest.ParseJSON(payload)
		if err != nil {
			if !isA[*manifest.Error](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if written := statement(t, m); !bytes.Equal(written, payload) {
			t.Fatalf("%s was accepted and is written %s", payload, written)
		}
	})
}

func FuzzManifestProof(f *testing.F) {
	seeds(f, "records")
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := manifest.ParseProof(text)
		if err != nil {
			if !isA[*manifest.Error](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if len(p.Path) > manifest.MaxPath || len(text) > manifest.MaxProofBytes {
			t.Fatalf("%d nodes in %d octets", len(p.Path), len(text))
		}
		written, err := p.AppendJSON(nil)
		must(t, err)
		back, err := manifest.ParseProof(written)
		must(t, err)
		same(t, "the proof read again", back, p)
	})
}

// readBundle reads a bundle to its end.
func readBundle(t *testing.T, b []byte) (entries []bundle.Entry, text []byte, kind bundle.Kind, err error) {
	t.Helper()
	r, err := bundle.NewReader(bytes.NewReader(b), "bundle", bundle.ReadOptions{})
	if err != nil {
		return nil, nil, bundle.KindUnknown, err
	}
	defer func() { must(t, r.Close()) }()
	for {
		var e bundle.Entry
		switch err := r.Next(&e); {
		case err == io.EOF:
			return entries, bytes.Clone(r.Manifest()), r.Kind(), nil
		case err != nil:
			return entries, nil, r.Kind(), err
		}
		if e.Place == "" || len(e.Voucher) > bundle.DefaultVoucherBytes {
			t.Fatalf("entry %q has %d octets", e.Place, len(e.Voucher))
		}
		e.Serial, e.Issuer, e.IssuerKeyID, e.Voucher = bytes.Clone(e.Serial), bytes.Clone(e.Issuer), bytes.Clone(e.IssuerKeyID), bytes.Clone(e.Voucher)
		entries = append(entries, e)
		if len(entries) > len(b)+4<<20 {
			t.Fatalf("%d octets hold %d vouchers", len(b), len(entries))
		}
	}
}

func FuzzBundle(f *testing.F) {
	seeds(f, "bundles", "cms")
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, text, kind, err := readBundle(t, b)
		if err != nil {
			if !isA[*bundle.Error](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if kind != bundle.KindTar && kind != bundle.KindNDJSON && kind != bundle.KindCBORSeq {
			return
		}
		var out bytes.Buffer
		opts := bundle.Options{Kind: kind}
		if kind == bundle.KindTar {
			opts.Manifest = text
		}
		w, err := bundle.NewStream(&out, "bundle", opts)
		must(t, err)
		for i := range entries {
			if err := w.Add(&entries[i]); err != nil {
				return // what a reader passes on, a writer may be stricter about
			}
		}
		must(t, w.Commit())
		again, _, _, err := readBundle(t, out.Bytes())
		must(t, err)
		if len(again) != len(entries) {
			t.Fatalf("%d vouchers become %d", len(entries), len(again))
		}
		for i := range again {
			if !bytes.Equal(again[i].Voucher, entries[i].Voucher) || !bytes.Equal(again[i].Serial, entries[i].Serial) {
				t.Fatalf("voucher %d is %q %x, was %q %x", i, again[i].Serial, again[i].Voucher, entries[i].Serial, entries[i].Voucher)
			}
		}
	})
}

func FuzzBundleName(f *testing.F) {
	f.Add("A1.vcj")
	f.Add("%2e%2e%2Fx~00ff.vch")
	f.Fuzz(func(t *testing.T, name string) {
		serial, keyID, format, ok := bundle.ParseName(name)
		if !ok {
			return
		}
		if again := string(bundle.AppendName(nil, serial, keyID, format)); again != name {
			t.Fatalf("%q names %q of %x, which is called %q", name, serial, keyID, again)
		}
	})
}
