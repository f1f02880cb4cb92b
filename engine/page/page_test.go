package page_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

type device struct {
	serial  []byte
	variant uint32
	line    uint64
}

// build makes one page of as many devices as fit and returns how many did.
func build(t testing.TB, b *page.Builder, first uint64, size int, devices []device) ([]byte, int) {
	t.Helper()
	if err := b.Reset(b.Memory(), first, size); err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		added, err := b.Add(d.serial, d.variant, d.line)
		if err != nil {
			t.Fatal(err)
		}
		if !added {
			break
		}
	}
	var r merkle.Range
	r.Reset(first)
	for i, s := 0, b.Signatures(); i < b.Len(); i++ {
		sign(s[i*size:(i+1)*size], first+uint64(i))
		r.Append(merkle.LeafHash(s[i*size : (i+1)*size]))
	}
	p, err := b.Finish(r.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	return p, b.Len()
}

func sign(dst []byte, position uint64) {
	for i := range dst {
		dst[i] = byte(position>>(8*(i%3))) + byte(i)
	}
}

func devices(n, serialLen int, change func(i int, d *device)) []device {
	ds := make([]device, n)
	for i := range ds {
		serial := fmt.Appendf(nil, "%0*d", serialLen, i)
		ds[i] = device{serial[:serialLen], 7, uint64(i) + 2}
		if change != nil {
			change(i, &ds[i])
		}
	}
	return ds
}

func requireEqual(t *testing.T, p []byte, first uint64, size int, want []device) {
	t.Helper()
	var v page.View
	if err := v.Parse(p); err != nil {
		t.Fatal(err)
	}
	if v.Count() != len(want) || v.First() != first || v.SignatureSize() != size {
		t.Fatalf("page of %d from %d with %d, want %d from %d with %d", v.Count(), v.First(), v.SignatureSize(), len(want), first, size)
	}
	var r, leaves merkle.Range
	leaves.Reset(first)
	sig := make([]byte, size)
	for i, d := range want {
		sign(sig, first+uint64(i))
		if !bytes.Equal(v.Serial(i), d.serial) || v.Variant(i) != d.variant || v.Line(i) != d.line || !bytes.Equal(v.Signature(i), sig) {
			t.Fatalf("voucher %d is not what was added", i)
		}
		leaves.Append(merkle.LeafHash(sig))
	}
	v.Range(&r)
	if r.Root() != leaves.Root() || r.Begin != first || r.End != first+uint64(len(want)) {
		t.Fatal("the Merkle range is not the one that was given")
	}
}

func TestPagesKeepWhatWasAdded(t *testing.T) {
	changes := map[string]func(int, *device){
		"plain":          nil,
		"mixed variants": func(i int, d *device) { d.variant = uint32(i % 3 * 100_000) },
		"skipped lines":  func(i int, d *device) { d.line = uint64(i)*3 + 1 },
		"falling lines":  func(i int, d *device) { d.line = uint64(10_000 - i) },
		"extreme lines":  func(i int, d *device) { d.line = uint64(i%2) * (1<<64 - 1) },
		"long serials":   func(i int, d *device) { d.serial = bytes.Repeat([]byte("ß"), 1+i%512) },
	}
	var b page.Builder
	for name, change := range changes {
		for _, size := range []int{64, 1, 132, 4627, page.MaxSignatureSize} {
			for _, first := range []uint64{0, 256, 1000, 1 << 40} {
				ds := devices(300, 12, change)
				p, n := build(t, &b, first, size, ds)
				if len(p) > page.MaxBytes {
					t.Fatalf("%s: page of %d octets", name, len(p))
				}
				requireEqual(t, p, first, size, ds[:n])
			}
		}
	}
}

func TestWhereAPageEndsDependsOnTheDevicesAlone(t *testing.T) {
	ds := devices(300, 1000, nil)
	var b page.Builder
	_, want := build(t, &b, 0, 64, ds)
	for _, first := range []uint64{1, 3, 255, 1 << 33, 1<<50 + 77} {
		if _, n := build(t, &b, first, 64, ds); n != want {
			t.Errorf("from %d the page holds %d vouchers, from 0 it holds %d", first, n, want)
		}
	}
	if _, n := build(t, &b, 0, 64, devices(300, 12, nil)); n != page.MaxVouchers {
		t.Errorf("a page of short serials holds %d vouchers, want %d", n, page.MaxVouchers)
	}
}

func TestPageOfES256CostsAtMost79OctetsAVoucher(t *testing.T) {
	var b page.Builder
	p, n := build(t, &b, 1<<21, 64, devices(256, 12, nil))
	if perVoucher := float64(len(p)) / float64(n); perVoucher > 79 {
		t.Errorf("%.2f octets a voucher", perVoucher)
	}
}

func TestBuilderRefusesWhatAPageCannotHold(t *testing.T) {
	var b page.Builder
	for _, size := range []int{0, -1, page.MaxSignatureSize + 1} {
		if b.Reset(nil, 0, size) == nil {
			t.Errorf("signature size %d was accepted", size)
		}
	}
	if err := b.Reset(nil, 0, 64); err != nil {
		t.Fatal(err)
	}
	for _, serial := range []string{"", strings.Repeat("x", page.MaxSerialBytes+1)} {
		if _, err := b.Add([]byte(serial), 0, 1); err == nil {
			t.Errorf("a serial of %d octets was accepted", len(serial))
		}
	}
	if _, err := b.Finish(nil); err == nil {
		t.Error("an empty page was finished")
	}
	if err := b.Reset(nil, 0, 64); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add([]byte("a"), 0, 1); err != nil {
		t.Fatal(err)
	}
	b.Signatures()
	if _, err := b.Add([]byte("b"), 0, 2); !errors.Is(err, page.ErrLaidOut) {
		t.Errorf("adding to a page laid out: %v, want ErrLaidOut", err)
	}
	if _, err := b.Finish(nil); err == nil {
		t.Error("a page without its Merkle nodes was finished")
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	var b page.Builder
	p, _ := build(t, &b, 5, 64, devices(3, 5, func(i int, d *device) { d.variant = uint32(i) }))
	var v page.View
	for i := range len(p) * 8 {
		bad := bytes.Clone(p)
		bad[i/8] ^= 1 << (i % 8)
		err := v.Parse(bad)
		var version *page.VersionError
		if i < 8 && !errors.As(err, &version) || i >= 8 && !errors.Is(err, page.ErrChecksum) {
			t.Fatalf("bit %d: %v", i, err)
		}
		if v.Count() != 0 {
			t.Fatalf("bit %d: the view of a broken page holds vouchers", i)
		}
	}
	for n := range p {
		if v.Parse(p[:n]) == nil {
			t.Fatalf("a page cut to %d octets was accepted", n)
		}
	}
}

// reseal gives altered content a right checksum.
func reseal(p []byte) []byte {
	if len(p) < 4 {
		return p
	}
	body := p[:len(p)-4]
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func TestLyingFieldsUnderARightChecksumAreRefused(t *testing.T) {
	var b page.Builder
	good, _ := build(t, &b, 5, 64, devices(3, 5, func(i int, d *device) { d.variant = uint32(i) }))
	var v page.View
	for at := 1; at < 17; at++ { // counts and section lengths, up to the first position
		for _, value := range []byte{0x00, 0x7f, 0xff} {
			if at >= 13 || good[at] == value {
				continue
			}
			bad := bytes.Clone(good)
			bad[at] = value
			var format *page.FormatError
			if err := v.Parse(reseal(bad)); !errors.As(err, &format) {
				t.Errorf("octet %d set to %#x: %v, want a FormatError", at, value, err)
			}
		}
	}
}

func TestBuildingAndReadingAllocateNothing(t *testing.T) {
	ds := devices(256, 12, nil)
	var b page.Builder
	var v page.View
	var r merkle.Range
	r.Reset(0)
	for range 256 {
		r.Append(merkle.Hash{})
	}
	buf := make([]byte, 0, page.MaxBytes)
	nodes := r.Nodes
	if n := testing.AllocsPerRun(20, func() {
		if err := b.Reset(buf, 0, 64); err != nil {
			t.Fatal(err)
		}
		for i := range ds {
			if added, err := b.Add(ds[i].serial, ds[i].variant, ds[i].line); !added || err != nil {
				t.Fatal(added, err)
			}
		}
		b.Signatures()
		p, err := b.Finish(nodes)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Parse(p); err != nil {
			t.Fatal(err)
		}
		v.Range(&r)
	}); n != 0 {
		t.Errorf("%v allocations a page, want none", n)
	}
}

func FuzzParse(f *testing.F) {
	var b page.Builder
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 3, 256} {
		p, _ := build(f, &b, rng.Uint64N(1<<30), 64, devices(n, 9, func(i int, d *device) {
			d.variant, d.line = rng.Uint32N(3), rng.Uint64N(1000)
		}))
		f.Add(bytes.Clone(p))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v page.View
		for _, p := range [][]byte{data, reseal(data)} {
			if v.Parse(p) != nil {
				continue
			}
			// What parses must be readable to the end and build again.
			var b page.Builder
			var r merkle.Range
			if err := b.Reset(nil, v.First(), v.SignatureSize()); err != nil {
				t.Fatal(err)
			}
			for i := range v.Count() {
				added, err := b.Add(v.Serial(i), v.Variant(i), v.Line(i))
				if err != nil {
					t.Fatal(err)
				}
				if !added {
					return // a page at its limit whose maker packed it tighter
				}
			}
			copy(b.Signatures(), v.Signatures())
			v.Range(&r)
			again, err := b.Finish(r.Nodes)
			if err != nil {
				t.Fatal(err)
			}
			var w page.View
			if err := w.Parse(again); err != nil {
				t.Fatal(err)
			}
			for i := range v.Count() {
				if !bytes.Equal(v.Serial(i), w.Serial(i)) || v.Line(i) != w.Line(i) || v.Variant(i) != w.Variant(i) || !bytes.Equal(v.Signature(i), w.Signature(i)) {
					t.Fatalf("voucher %d changed in a round trip", i)
				}
			}
		}
	})
}

func BenchmarkPage(b *testing.B) {
	ds := devices(256, 12, nil)
	var builder page.Builder
	p, _ := build(b, &builder, 0, 64, ds)
	kept := bytes.Clone(p)
	var v page.View
	var r merkle.Range
	if err := v.Parse(kept); err != nil {
		b.Fatal(err)
	}
	v.Range(&r)
	b.Run("op=build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := builder.Reset(builder.Memory(), 0, 64); err != nil {
				b.Fatal(err)
			}
			for i := range ds {
				if _, err := builder.Add(ds[i].serial, ds[i].variant, ds[i].line); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := builder.Finish(r.Nodes); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/voucher")
	})
	b.Run("op=parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := v.Parse(kept); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/voucher")
	})
}
