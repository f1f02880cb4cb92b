package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/vouchmill/vouchmill/bench"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/run"
)

var formats = []codec.Format{codec.FormatCMS, codec.FormatJWS, codec.FormatCOSE}

const batchSize = 256

// A match is one format made and read both ways.
type match struct {
	fixture  *bench.Fixture
	template *run.Template
	peer     *Peer
	serials  [][]byte
	payloads [][]byte // of the same vouchers
}

func newMatch(t testing.TB, format codec.Format) *match {
	t.Helper()
	fixture, err := bench.NewFixture()
	if err != nil {
		t.Fatal(err)
	}
	m := &match{fixture: fixture}
	if m.template, err = fixture.Template(format); err != nil {
		t.Fatal(err)
	}
	if m.peer, err = New(format, fixture); err != nil {
		t.Fatal(err)
	}
	devices := list.Synthetic{Count: batchSize, Seed: 1}
	for i := range uint64(batchSize) {
		serial := devices.AppendSerial(nil, i)
		payload, err := m.template.AppendPayload(nil, serial)
		if err != nil {
			t.Fatal(err)
		}
		m.serials, m.payloads = append(m.serials, serial), append(m.payloads, payload)
	}
	return m
}

// ours returns a batch that signs by one of our implementations.
func (m *match) ours(t testing.TB, impl string) *bench.Batch {
	t.Helper()
	signer, err := m.fixture.Signer(impl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { signer.Close() })
	batch, err := bench.NewBatch(signer, m.template)
	if err == nil {
		err = batch.Make(m.serials)
	}
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func TestEachSideVerifiesOrReadsTheOthersVouchers(t *testing.T) {
	for _, format := range formats {
		m := newMatch(t, format)
		if err := m.peer.Verify(m.ours(t, "").Voucher(0)); err != nil {
			t.Errorf("%s on our %v voucher: %v", m.peer.Name, format, err)
		}
		theirs, err := m.peer.Encode(m.payloads[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := m.peer.Verify(theirs); err != nil {
			t.Errorf("%s on its own %v voucher: %v", m.peer.Name, format, err)
		}
		if format == codec.FormatJWS {
			theirs = general(t, theirs)
		}
		var decoder codec.EnvelopeDecoder
		var envelope codec.Envelope
		if err := decoder.Decode(theirs, &envelope); err != nil {
			t.Errorf("the %v voucher of %s: %v", format, m.peer.Name, err)
		}
		if !bytes.Equal(envelope.Payload, m.payloads[0]) || len(envelope.Certificates) != len(m.fixture.Chain) {
			t.Errorf("the %v voucher of %s has payload %q and %d certificates", format, m.peer.Name, envelope.Payload, len(envelope.Certificates))
		}
	}
}

// general turns the flattened serialisation, which go-jose writes where there is
// one signature, into the general one, which vouchers have.
func general(t *testing.T, flattened []byte) []byte {
	t.Helper()
	var parts struct {
		Payload   string `json:"payload"`
		Protected string `json:"protected"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(flattened, &parts); err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts.Payload, parts.Protected, parts.Signature)
}

// BenchmarkMake encodes and signs one voucher an iteration; ours in batches of
// 256, as jobs do.
func BenchmarkMake(b *testing.B) {
	for _, format := range formats {
		m := newMatch(b, format)
		name := fmt.Sprintf("env=%v/impl=", format)
		b.Run(name+m.peer.Name, func(b *testing.B) {
			next, before := 0, bench.CPUTime()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.peer.Encode(m.payloads[next%batchSize]); err != nil {
					b.Fatal(err)
				}
				next++
			}
			bench.ReportCPU(b, bench.CPUTime()-before, float64(b.N), "voucher")
		})
		for _, impl := range []string{"portable", "vouchmill"} {
			forced := impl
			if impl == "vouchmill" {
				forced = "" // the best there is
			}
			batch := m.ours(b, forced)
			b.Run(name+impl, func(b *testing.B) {
				next, before := 0, bench.CPUTime()
				b.ReportAllocs()
				for b.Loop() {
					if next%batchSize == 0 {
						if err := batch.Make(m.serials); err != nil {
							b.Fatal(err)
						}
					}
					next++
				}
				bench.ReportCPU(b, bench.CPUTime()-before, float64(b.N), "voucher")
			})
		}
	}
}

// BenchmarkRead decodes one voucher an iteration without checking its
// signature. The peers take the envelope apart; impl=vouchmill does that,
// impl=vouchmill-whole decodes and checks the leaves of the payload as well.
func BenchmarkRead(b *testing.B) {
	for _, format := range formats {
		m := newMatch(b, format)
		batch := m.ours(b, "")
		ours := decoder{format: format}
		for _, side := range []struct {
			name   string
			decode func([]byte) error
		}{{m.peer.Name, m.peer.Decode}, {"vouchmill", ours.envelope}, {"vouchmill-whole", ours.whole}} {
			b.Run(fmt.Sprintf("env=%v/impl=%s", format, side.name), func(b *testing.B) {
				next, before := 0, bench.CPUTime()
				b.ReportAllocs()
				for b.Loop() {
					if err := side.decode(batch.Voucher(next % batchSize)); err != nil {
						b.Fatal(err)
					}
					next++
				}
				bench.ReportCPU(b, bench.CPUTime()-before, float64(b.N), "voucher")
			})
		}
	}
}

// A decoder is ours, with its memory.
type decoder struct {
	format    codec.Format
	envelopes codec.EnvelopeDecoder
	payloads  codec.PayloadDecoder
	last      codec.Envelope
	voucher   codec.Voucher
}

func (d *decoder) envelope(b []byte) error { return d.envelopes.Decode(b, &d.last) }

func (d *decoder) whole(b []byte) error {
	if err := d.envelopes.Decode(b, &d.last); err != nil {
		return err
	}
	if d.format == codec.FormatCOSE {
		return d.payloads.VoucherCBOR(d.last.Payload, &d.voucher)
	}
	return d.payloads.VoucherJSON(d.last.Payload, &d.voucher)
}
