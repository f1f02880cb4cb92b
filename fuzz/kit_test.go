package fuzz

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
	"github.com/vouchmill/vouchmill/testdata/kit"
)

func readKit(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(kitFolder, filepath.FromSlash(name)))
	must(t, err)
	return b
}

func kitIndex(t testing.TB) *kit.Index {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(readKit(t, "index.json")))
	d.DisallowUnknownFields()
	var index kit.Index
	must(t, d.Decode(&index))
	return &index
}

func TestKitIsWhatItsGeneratorMakes(t *testing.T) {
	files, err := kit.Build()
	must(t, err)
	total := 0
	for name, want := range files {
		total += len(want)
		if got := readKit(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s is not what is generated: run go run ./testdata/generate", name)
		}
	}
	if total >= 1<<20 {
		t.Errorf("the kit has %d octets, 1 MiB is too much", total)
	}
	beside := []string{"INDEX.md", "generate", "kit"}
	err = filepath.WalkDir(kitFolder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(kitFolder, path)
		if err != nil {
			return err
		}
		if slices.Contains(beside, name) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if _, part := files[filepath.ToSlash(name)]; !part && !entry.IsDir() {
			t.Errorf("%s is not part of the kit", name)
		}
		return nil
	})
	must(t, err)
}

// verdict is what became of a case: no check for accepted.
type verdict struct{ check, reason string }

func TestKitHasTheResultsItsIndexStates(t *testing.T) {
	index := kitIndex(t)
	judges := map[string]func(testing.TB, *kit.Index, *kit.Case, []byte) verdict{
		kit.KindVoucher: judgeVoucher, kit.KindRequest: judgeRequest, kit.KindPayload: judgePayload, kit.KindRequestPayload: judgePayload,
		kit.KindList: judgeList, kit.KindIDevID: judgeIDevID, kit.KindKey: judgeKey, kit.KindChain: judgeChain, kit.KindProfile: judgeProfile,
		kit.KindHeader: judgeHeader, kit.KindManifest: judgeManifest, kit.KindProof: judgeProof, kit.KindBundle: judgeBundle,
		kit.KindCSR: judgeCSR, kit.KindCSRAttrs: judgeCSRAttrs, kit.KindCertsOnly: judgeCertsOnly, kit.KindAuditLog: judgeAuditLog, kit.KindLogKey: judgeLogKey,
	}
	for i := range index.Cases {
		c := &index.Cases[i]
		t.Run(c.File, func(t *testing.T) {
			got := judges[c.Kind](t, index, c, readKit(t, c.File))
			if c.Accept != (got == verdict{}) || got.check != c.Check || c.Reason != "" && got.reason != c.Reason {
				t.Errorf("%s: got %+v, want %+v", c.About, got, verdict{c.Check, c.Reason})
			}
		})
	}
}

// oneVoucher yields one voucher, as a bundle does.
type oneVoucher struct {
	entry bundle.Entry
	done  bool
}

func (r *oneVoucher) Next(e *bundle.Entry) error {
	if r.done {
		return io.EOF
	}
	*e, r.done = r.entry, true
	return nil
}

func (r *oneVoucher) Manifest() []byte { return nil }

func judgeVoucher(t testing.TB, index *kit.Index, c *kit.Case, b []byte) verdict {
	trust := verify.Trust{At: index.At}
	for _, name := range index.Trust {
		anchors, err := sign.LoadCertificates(readKit(t, name))
		must(t, err)
		trust.Anchors = append(trust.Anchors, anchors...)
	}
	if c.Helper != "" {
		var err error
		trust.Helpers, err = sign.LoadCertificates(readKit(t, c.Helper))
		must(t, err)
	}
	format, err := codec.ParseFormat(c.Format)
	must(t, err)
	var got verdict
	report, err := verify.Run(context.Background(), verify.Config{
		Sources: []verify.Source{verify.Entries(c.File, &oneVoucher{entry: bundle.Entry{Place: c.File, Format: format, Voucher: b}})},
		Trust:   trust,
		Failed: func(f *verify.Failure) error {
			if got = (verdict{check: string(f.Check)}); f.Remedy == "" || f.Reason == "" {
				t.Errorf("a failure without cause or remedy: %+v", f)
			}
			return nil
		},
	})
	must(t, err)
	if report.OK() != (got == verdict{}) {
		t.Errorf("report %+v, verdict %+v", report, got)
	}
	if got.check == string(verify.CheckEnvelope) {
		got.reason = envelopeReason(t, b, format == codec.FormatCOSE)
	}
	inspects(t, c, b, got)
	return got
}

// envelopeReason names why an envelope is refused.
func envelopeReason(t testing.TB, b []byte, untagged bool) string {
	d := codec.EnvelopeDecoder{AllowWrapped: true, AllowUntagged: untagged}
	var e codec.Envelope
	return flaw(t, d.Decode(b, &e))
}

func flaw(t testing.TB, err error) string {
	var refused *codec.EnvelopeError
	var limit *codec.LimitError
	switch {
	case errors.As(err, &limit):
		return "limit"
	case errors.As(err, &refused):
		return string(refused.Flaw)
	}
	t.Errorf("error of type %T: %v", err, err)
	return ""
}

// inspects holds what inspect says against the index.
func inspects(t testing.TB, c *kit.Case, b []byte, got verdict) {
	report, err := codec.Inspect(b, codec.Limits{})
	if err != nil {
		if c.Accept {
			t.Errorf("inspect: %v", err)
		}
		return
	}
	switch got.check {
	case "envelope", "payload", "rules":
		if len(report.Problems) == 0 && report.Payload.Artefact == c.Kind {
			t.Errorf("inspect finds nothing wrong with %s", c.About)
		}
	case "":
		if len(report.Problems) != 0 {
			t.Errorf("inspect finds %v", report.Problems)
		}
		same(t, "what is odd", oddities(report), append([]string{}, c.Oddities...))
		same(t, "the leaves", reportedLeaves(t, report), c.Leaves)
	}
}

func oddities(report *codec.Report) []string {
	found := []string{}
	for _, o := range report.Oddities {
		found = append(found, string(o.Code))
	}
	return found
}

// reportedLeaves are the leaves as the kit's index has them.
func reportedLeaves(t testing.TB, report *codec.Report) map[string]string {
	found := map[string]string{}
	for _, l := range report.Payload.Leaves {
		switch {
		case l.Name == "nonce" && l.Text != nil: // as JSON wrote it
			octets, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(*l.Text))
			must(t, err)
			found[l.Name] = fmt.Sprintf("sha256:%x", sha256.Sum256(octets))
		case l.Text != nil:
			found[l.Name] = *l.Text
		case l.List != nil:
			found[l.Name] = strings.Join(l.List, " ")
		default:
			octets, err := base64.StdEncoding.DecodeString(*l.Binary)
			must(t, err)
			found[l.Name] = fmt.Sprintf("sha256:%x", sha256.Sum256(octets))
		}
	}
	return found
}

func judgeRequest(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	d := codec.EnvelopeDecoder{Request: true}
	var e codec.Envelope
	if err := d.Decode(b, &e); err != nil {
		return verdict{"envelope", flaw(t, err)}
	}
	switch err := verified(&e, &e.Signers[0], nil); {
	case errors.Is(err, errContentDigest):
		return verdict{check: "digest"}
	case err != nil:
		return verdict{check: "signature"}
	}
	got := judgeLeaves(t, kit.KindRequestPayload, c.Encoding, e.Payload)
	inspects(t, c, b, got)
	return got
}

func judgePayload(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	got := judgeLeaves(t, c.Kind, c.Encoding, b)
	if c.Accept {
		report, err := codec.Inspect(b, codec.Limits{})
		must(t, err)
		same(t, "the leaves", reportedLeaves(t, report), c.Leaves)
	}
	return got
}

// judgeLeaves reads a bare payload and applies the rules.
func judgeLeaves(t testing.TB, kind, encoding string, b []byte) verdict {
	d := codec.PayloadDecoder{Unknown: codec.KeepUnknown}
	var q codec.VoucherRequest
	var err error
	validate := q.Validate
	switch {
	case kind == kit.KindRequestPayload && encoding == "json":
		err = d.RequestJSON(b, &q)
	case kind == kit.KindRequestPayload:
		err = d.RequestCBOR(b, &q)
	case encoding == "json":
		err, validate = d.VoucherJSON(b, &q.Voucher), q.Voucher.Validate
	default:
		err, validate = d.VoucherCBOR(b, &q.Voucher), q.Voucher.Validate
	}
	if err != nil {
		if err.Error() == "" {
			t.Error("an error without a text")
		}
		return verdict{check: "payload"}
	}
	var broken *codec.RuleError
	if err := validate(codec.Rules{}); errors.As(err, &broken) {
		return verdict{"rules", broken.Leaf}
	} else if err != nil {
		t.Errorf("error of type %T: %v", err, err)
	}
	return verdict{}
}

func judgeList(t testing.TB, _ *kit.Index, c *kit.Case, _ []byte) verdict {
	r, err := list.Open(filepath.Join(kitFolder, filepath.FromSlash(c.File)), list.Options{})
	if err != nil {
		if !isA[*list.ListError](err) {
			t.Errorf("error of type %T: %v", err, err)
		}
		return verdict{check: "list"}
	}
	defer func() { must(t, r.Close()) }()
	var rows []kit.Row
	var got verdict
	for {
		var rec list.Record
		err := r.Read(&rec)
		var bad *list.RowError
		if errors.As(err, &bad) {
			field := bad.Field
			if field == "" {
				field = "row"
			}
			rows = append(rows, kit.Row{Line: bad.Line, Refused: field})
			continue
		}
		if err != nil {
			if err != io.EOF {
				got.check = "list"
			}
			break
		}
		rows = append(rows, kit.Row{Line: rec.Line, Serial: string(rec.Serial), Issuer: hex.EncodeToString(rec.Issuer), Pin: string(rec.Pin), ExpiresOn: string(rec.ExpiresOn)})
	}
	same(t, "the rows", rows, c.Rows)
	return got
}

func judgeIDevID(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	found, err := codec.ParseIDevID(b)
	if err != nil {
		return verdict{check: "certificate"}
	}
	facts := kit.Facts{Issuer: hex.EncodeToString(found.Issuer()), MASAURL: found.MASAURL}
	for _, s := range found.SerialNumbers {
		facts.SerialNumbers = append(facts.SerialNumbers, string(s))
	}
	for _, m := range found.HardwareModules {
		facts.HardwareModules = append(facts.HardwareModules, fmt.Sprintf("%s %x", m.Type, m.SerialNumber))
	}
	same(t, "the facts", &facts, c.Facts)
	return verdict{}
}

func judgeKey(t testing.TB, index *kit.Index, c *kit.Case, b []byte) verdict {
	key, err := sign.LoadKey(b, func() ([]byte, error) { return []byte(index.Passphrase), nil })
	switch {
	case isA[*sign.AlgorithmError](err):
		return verdict{check: "algorithm"}
	case isA[*sign.KeyError](err):
		return verdict{check: "key"}
	}
	must(t, err)
	alg, err := sign.ForKey(key.Public())
	must(t, err)
	if alg.Name != c.Algorithm {
		t.Errorf("a key for %s, want %s", alg, c.Algorithm)
	}
	return verdict{}
}

func judgeChain(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	chain, err := sign.LoadChain(b)
	if isA[*sign.ChainError](err) {
		return verdict{check: "chain"}
	}
	must(t, err)
	if len(chain) != c.Certificates {
		t.Errorf("%d certificates, want %d", len(chain), c.Certificates)
	}
	return verdict{}
}

func judgeProfile(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	s, err := profile.Parse(b, c.File)
	if err == nil {
		err = s.Check()
	}
	if isA[*profile.Error](err) {
		return verdict{check: "profile"}
	}
	must(t, err)
	return verdict{}
}

func judgeHeader(t testing.TB, _ *kit.Index, _ *kit.Case, b []byte) verdict {
	h, err := run.ParseHeader(b)
	if errors.Is(err, run.ErrHeader) {
		return verdict{check: "header"}
	}
	must(t, err)
	written, err := h.Marshal()
	must(t, err)
	if !bytes.Equal(written, b) {
		t.Errorf("written as %s", written)
	}
	return verdict{}
}

func judgeManifest(t testing.TB, _ *kit.Index, _ *kit.Case, b []byte) verdict {
	s, err := manifest.Parse(b)
	if err != nil {
		return verdict{check: "manifest"}
	}
	verifier, err := sign.NewVerifier(sign.VerifierOptions{})
	must(t, err)
	if err := s.VerifySignature(verifier); err != nil {
		return verdict{check: "signature"}
	}
	return verdict{}
}

func judgeProof(t testing.TB, _ *kit.Index, _ *kit.Case, b []byte) verdict {
	p, err := manifest.ParseProof(b)
	if err != nil {
		return verdict{check: "proof"}
	}
	s, err := manifest.Parse(readKit(t, "records/manifest.json"))
	must(t, err)
	if err := p.Verify(s.Manifest, p.Leaf); err != nil {
		return verdict{check: "proof"}
	}
	return verdict{}
}

func judgeBundle(t testing.TB, _ *kit.Index, c *kit.Case, b []byte) verdict {
	r, err := bundle.NewReader(bytes.NewReader(b), c.File, bundle.ReadOptions{})
	if err != nil {
		return verdict{check: "read"}
	}
	defer func() { must(t, r.Close()) }()
	for n := 0; ; n++ {
		var e bundle.Entry
		err := r.Next(&e)
		if err == io.EOF {
			if n != c.Vouchers {
				t.Errorf("%d vouchers, want %d", n, c.Vouchers)
			}
			return verdict{}
		}
		if err != nil {
			return verdict{check: "read"}
		}
	}
}

// The kit puts its vouchers together by hand, so they hold the encoders to the
// same octets.
func TestEncodersWriteTheKitsGoodVouchers(t *testing.T) {
	for _, c := range kitIndex(t).Cases {
		_, name, _ := strings.Cut(c.File, "/")
		if c.Kind != kit.KindVoucher || !strings.HasPrefix(name, "good-") {
			continue
		}
		t.Run(c.File, func(t *testing.T) {
			want := readKit(t, c.File)
			if got := voucherAgain(t, want); !bytes.Equal(got, want) {
				t.Errorf("written as\n%x, the kit has\n%x", got, want)
			}
		})
	}
}

// voucherAgain writes a voucher anew from what it holds and its signature.
func voucherAgain(t *testing.T, b []byte) []byte {
	t.Helper()
	return encodedAgain(t, b, func(e *codec.Envelope) []byte {
		var payloads codec.PayloadDecoder
		var v codec.Voucher
		read, write := payloads.VoucherJSON, codec.AppendVoucherJSON
		if e.Format == codec.FormatCOSE {
			read, write = payloads.VoucherCBOR, codec.AppendVoucherCBOR
		}
		must(t, read(e.Payload, &v))
		payload, err := write(nil, &v)
		must(t, err)
		return payload
	})
}

// encodedAgain writes an envelope anew around a payload that is written again,
// with its signature.
func encodedAgain(t *testing.T, b []byte, write func(*codec.Envelope) []byte) []byte {
	t.Helper()
	d := codec.EnvelopeDecoder{Request: true}
	var e codec.Envelope
	must(t, d.Decode(b, &e))
	payload := write(&e)
	s := &e.Signers[0]
	chain, err := sign.LoadCertificates(pemOf(e.Certificates))
	must(t, err)
	key, err := algorithmOf(&e, s, chain[0])
	must(t, err)
	alg := key.Algorithm()
	id := artefact.AlgorithmID(alg)
	id.SignatureSize = len(s.Signature) // RSA's is that of its key
	encoder, err := codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: e.Format, Algorithm: id, Chain: e.Certificates,
		DataContentType: e.ContentType == codec.ContentData, SigningTime: s.SigningTime})
	must(t, err)
	var digest []byte
	if e.Format == codec.FormatCMS {
		digest = alg.Hash.Append(nil, payload)
	}
	out, err := encoder.AppendEnvelope(nil, payload, digest, s.Signature)
	must(t, err)
	return out
}
