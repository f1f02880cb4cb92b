package fuzz

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
)

// cloned is an Envelope whose memory is its own.
func cloned(e *codec.Envelope) codec.Envelope {
	c := *e
	c.Payload = append([]byte{}, e.Payload...) // no content is nil or empty
	c.Certificates, c.Signers, c.Oddities = nil, nil, slices.Clone(e.Oddities)
	for _, cert := range e.Certificates {
		c.Certificates = append(c.Certificates, bytes.Clone(cert))
	}
	for _, s := range e.Signers {
		for _, field := range []*[]byte{&s.SignatureOID, &s.SignatureParams, &s.DigestOID, &s.DigestParams, &s.JOSE,
			&s.IssuerDER, &s.SerialDER, &s.SubjectKeyID, &s.KeyID, &s.X5T, &s.Signed, &s.Signature, &s.SignatureDER, &s.ContentDigest} {
			*field = bytes.Clone(*field)
		}
		c.Signers = append(c.Signers, s)
	}
	return c
}

// accepted holds what is true of every envelope that was accepted.
func accepted(t *testing.T, b []byte, e *codec.Envelope) {
	t.Helper()
	lim := codec.DefaultLimits()
	switch {
	case e.Format == codec.FormatUnknown:
		t.Fatal("an accepted envelope has no format")
	case len(b) > lim.VoucherBytes, len(e.Payload) > lim.VoucherBytes:
		t.Fatalf("%d octets with %d of payload are over the limit", len(b), len(e.Payload))
	case len(e.Certificates) > lim.Certificates, len(e.Signers) > lim.Signatures:
		t.Fatalf("%d certificates, %d signers are over the limit", len(e.Certificates), len(e.Signers))
	case len(e.Signers) == 0:
		t.Fatal("nobody signed it")
	}
	for i := range e.Signers {
		s := &e.Signers[i]
		switch {
		case len(s.Signature) == 0 || len(s.Signed) == 0:
			t.Fatalf("signer %d has no signature, or nothing under it", i)
		case s.CertIndex < -1 || s.CertIndex >= len(e.Certificates) || s.CertIndex+s.CertCount > len(e.Certificates):
			t.Fatalf("signer %d has certificates %d+%d of %d", i, s.CertIndex, s.CertCount, len(e.Certificates))
		case e.Format == codec.FormatCMS && len(s.ContentDigest) == 0:
			t.Fatalf("signer %d states no digest of the content", i)
		case e.Format == codec.FormatJWS && !bytes.HasSuffix(s.Signed, b64url(e.Payload)):
			t.Fatalf("signer %d did not sign the payload", i)
		case e.Format == codec.FormatCOSE && !bytes.HasSuffix(s.Signed, e.Payload):
			t.Fatalf("signer %d did not sign the payload", i)
		}
	}
}

// decodeEnvelope decodes twice with one decoder and once with another, and
// returns an envelope of its own memory, nil where b is refused.
func decodeEnvelope(t *testing.T, b []byte, d *codec.EnvelopeDecoder, decode func(*codec.EnvelopeDecoder, []byte, *codec.Envelope) error) *codec.Envelope {
	t.Helper()
	input := bytes.Clone(b)
	var e codec.Envelope
	var err error
	frugal(t, len(b), func() { err = decode(d, b, &e) })
	if err != nil {
		if !isA[*codec.EnvelopeError](err) && !isA[*codec.LimitError](err) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		if err.Error() == "" {
			t.Fatal("an error without a text")
		}
		return nil
	}
	first := cloned(&e)
	must(t, decode(d, b, &e))
	same(t, "the envelope decoded again", cloned(&e), first)
	other := codec.EnvelopeDecoder{AllowUntagged: d.AllowUntagged, AllowWrapped: d.AllowWrapped, Limits: codec.Limits{Certificates: 1 << 10, Signatures: 1 << 10, VoucherBytes: 1 << 20}}
	must(t, decode(&other, b, &e))
	same(t, "the envelope decoded under wider limits", cloned(&e), first)
	if !bytes.Equal(b, input) {
		t.Fatal("decoding changed its input")
	}
	accepted(t, b, &first)
	return &first
}

func envelopeSeeds(f *testing.F) {
	seeds(f, "cms", "jws", "cose", "wrapped")
	vectorSeeds(f, ".cms.der", ".jws.json", ".cose", ".pkcs", ".b64", ".jws")
}

func FuzzEnvelope(f *testing.F) {
	envelopeSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		d := codec.EnvelopeDecoder{AllowUntagged: true, AllowWrapped: true}
		e := decodeEnvelope(t, b, &d, (*codec.EnvelopeDecoder).Decode)
		if e == nil {
			return
		}
		found, err := codec.Detect(b)
		must(t, err)
		if found.Format != e.Format || found.Bare {
			t.Fatalf("detected %v, decoded %v", found.Format, e.Format)
		}
		report, err := codec.Inspect(b, codec.Limits{})
		must(t, err)
		if report.Format != e.Format.String() || len(report.Signers) != len(e.Signers) || len(report.Certificates) != len(e.Certificates) {
			t.Fatalf("inspect sees %+v", report)
		}
		plain, err := found.Unwrap(nil)
		must(t, err)
		var strict codec.EnvelopeDecoder
		var again codec.Envelope
		if strict.Decode(plain, &again) == nil {
			same(t, "the payload without the wrapping", cloned(&again).Payload, e.Payload)
		}
	})
}

func FuzzCMS(f *testing.F) {
	seeds(f, "cms")
	vectorSeeds(f, ".cms.der", ".pkcs")
	f.Fuzz(func(t *testing.T, b []byte) {
		var d codec.EnvelopeDecoder
		if e := decodeEnvelope(t, b, &d, (*codec.EnvelopeDecoder).DecodeCMS); e != nil {
			pkcs7Agrees(t, b, e)
		}
	})
}

func FuzzJWS(f *testing.F) {
	seeds(f, "jws")
	vectorSeeds(f, ".jws.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		var d codec.EnvelopeDecoder
		if e := decodeEnvelope(t, b, &d, (*codec.EnvelopeDecoder).DecodeJWS); e != nil {
			if !json.Valid(b) {
				t.Fatal("what was accepted is not JSON")
			}
			joseAgrees(t, b, e)
		}
	})
}

func FuzzCOSE(f *testing.F) {
	seeds(f, "cose")
	vectorSeeds(f, ".cose")
	f.Fuzz(func(t *testing.T, b []byte) {
		d := codec.EnvelopeDecoder{AllowUntagged: true}
		e := decodeEnvelope(t, b, &d, (*codec.EnvelopeDecoder).DecodeCOSE)
		if e == nil {
			return
		}
		coseAgrees(t, b, e)
		stripped, err := codec.StripCertificates(nil, b)
		if err != nil {
			if !isA[*codec.EnvelopeError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if len(stripped) > len(b) {
			t.Fatal("stripping made it longer")
		}
		var again codec.Envelope
		must(t, d.DecodeCOSE(stripped, &again))
		same(t, "what was signed", again.Signers[0].Signed, e.Signers[0].Signed)
		same(t, "the signature", again.Signers[0].Signature, e.Signers[0].Signature)
		twice, err := codec.StripCertificates(nil, stripped)
		must(t, err)
		same(t, "stripped twice", twice, stripped)
	})
}

func FuzzDetect(f *testing.F) {
	envelopeSeeds(f)
	seeds(f, "payload")
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := codec.Detect(b)
		if err != nil {
			if !isA[*codec.EnvelopeError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		prefix := []byte("before")
		plain, err := found.Unwrap(prefix)
		if err != nil {
			if !isA[*codec.EnvelopeError](err) {
				t.Fatalf("error of type %T: %v", err, err)
			}
			return
		}
		if !bytes.HasPrefix(plain, prefix) || len(plain)-len(prefix) > len(b) {
			t.Fatalf("%d octets unwrapped to %d", len(b), len(plain)-len(prefix))
		}
		if found.Wrapping == codec.WrapNone && !bytes.Equal(plain[len(prefix):], b) {
			t.Fatal("what is not wrapped was changed")
		}
	})
}

func FuzzInspect(f *testing.F) {
	envelopeSeeds(f)
	seeds(f, "payload")
	vectorSeeds(f, ".payload.json", ".payload.cbor", ".vch", ".vrq")
	f.Fuzz(func(t *testing.T, b []byte) {
		var report *codec.Report
		var err error
		frugal(t, 4*len(b), func() { report, err = codec.Inspect(b, codec.Limits{}) })
		if (report == nil) == (err == nil) {
			t.Fatalf("report %v with error %v", report, err)
		}
		if err != nil {
			return
		}
		if report.Octets != len(b) {
			t.Fatalf("%d octets reported as %d", len(b), report.Octets)
		}
		text, err := json.Marshal(report)
		must(t, err)
		if !json.Valid(text) {
			t.Fatal("the report is not JSON")
		}
		// Nothing is refused without a reason that inspect names.
		d := codec.EnvelopeDecoder{Request: true}
		var e codec.Envelope
		if d.Decode(b, &e) != nil && len(report.Problems) == 0 && len(report.Oddities) == 0 && report.Format != "" {
			t.Fatalf("refused, and inspect finds nothing wrong: %s", text)
		}
	})
}
