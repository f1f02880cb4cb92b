package fuzz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/vouchmill/vouchmill/engine/merkle"
	"github.com/vouchmill/vouchmill/engine/page"
)

// sealed gives a page the checksum it should have: a fuzzer finds no CRC-32C.
func sealed(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	body := bytes.Clone(b[:len(b)-4])
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// FuzzPage reads pages, and holds that a Builder makes the same of what they hold,
// in no more octets.
func FuzzPage(f *testing.F) {
	for _, b := range samplePages(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(b)} {
			var v page.View
			if err := v.Parse(b); err != nil {
				if !isA[*page.FormatError](err) && !isA[*page.VersionError](err) && !errors.Is(err, page.ErrChecksum) {
					t.Fatalf("error of type %T: %v", err, err)
				}
				continue
			}
			if v.Count() < 1 || v.Count() > page.MaxVouchers || len(b) > page.MaxBytes && v.Count() > 1 {
				t.Fatalf("%d vouchers in %d octets", v.Count(), len(b))
			}
			rebuilt(t, &v)
		}
	})
}

// rebuilt makes a page of what a view holds.
func rebuilt(t *testing.T, v *page.View) {
	t.Helper()
	var b page.Builder
	must(t, b.Reset(nil, v.First(), v.SignatureSize()))
	for i := range v.Count() {
		added, err := b.Add(v.Serial(i), v.Variant(i), v.Line(i))
		if err != nil || !added {
			t.Fatalf("voucher %d of an accepted page does not fit: %v", i, err)
		}
	}
	copy(b.Signatures(), v.Signatures())
	var nodes merkle.Range
	v.Range(&nodes)
	made, err := b.Finish(nodes.Nodes)
	must(t, err)
	var again page.View
	must(t, again.Parse(made))
	if len(made) > len(v.Bytes()) || again.First() != v.First() || !bytes.Equal(again.Signatures(), v.Signatures()) {
		t.Fatalf("a page of %d octets is made again in %d", len(v.Bytes()), len(made))
	}
	for i := range v.Count() {
		if !bytes.Equal(again.Serial(i), v.Serial(i)) || again.Variant(i) != v.Variant(i) || again.Line(i) != v.Line(i) {
			t.Fatalf("voucher %d of the page made again is another", i)
		}
	}
}

func samplePages(f *testing.F) [][]byte {
	f.Helper()
	var pages [][]byte
	for _, script := range [][]byte{{1}, {3, 200, 1, 9}, bytes.Repeat([]byte{7, 0, 44}, 90)} {
		b, _, err := scriptedPage(script, 5)
		if err != nil {
			f.Fatal(err)
		}
		pages = append(pages, b)
	}
	return pages
}

type voucherAt struct {
	serial  string
	variant uint32
	line    uint64
}

// scriptedPage makes a page whose serial numbers, variants and lines follow from
// the octets of script, up to where the page is full.
func scriptedPage(script []byte, first uint64) ([]byte, []voucherAt, error) {
	var b page.Builder
	if err := b.Reset(nil, first, 64); err != nil {
		return nil, nil, err
	}
	var all []voucherAt
	line := uint64(1)
	var tree merkle.Range
	tree.Reset(first)
	for i, c := range script {
		v := voucherAt{serial: "S" + string(bytes.Repeat([]byte{'0' + c%10}, int(c)*4+1)), variant: uint32(c) * uint32(i%3) << (c % 20), line: line}
		line += uint64(c%5) + 1
		added, err := b.Add([]byte(v.serial), v.variant, v.line)
		if err != nil {
			return nil, nil, err
		}
		if !added {
			break
		}
		all = append(all, v)
		tree.Append(merkle.LeafHash([]byte(v.serial)))
	}
	signatures := b.Signatures()
	for i := range signatures {
		signatures[i] = byte(i * 7)
	}
	made, err := b.Finish(tree.Nodes)
	return made, all, err
}

// FuzzPageBuilder makes pages and reads back what went in.
func FuzzPageBuilder(f *testing.F) {
	f.Add([]byte{0}, uint64(0))
	f.Add(bytes.Repeat([]byte{1, 2, 3, 250}, 70), uint64(1<<40))
	f.Fuzz(func(t *testing.T, script []byte, first uint64) {
		if len(script) == 0 || len(script) > 400 || first > 1<<62 {
			return
		}
		made, all, err := scriptedPage(script, first)
		must(t, err)
		var v page.View
		must(t, v.Parse(made))
		if v.Count() != len(all) || v.First() != first || len(made) > page.MaxBytes {
			t.Fatalf("%d vouchers from %d went in, %d from %d came out, %d octets", len(all), first, v.Count(), v.First(), len(made))
		}
		for i, want := range all {
			if got := (voucherAt{string(v.Serial(i)), v.Variant(i), v.Line(i)}); got != want {
				t.Fatalf("voucher %d is %+v, was %+v", i, got, want)
			}
		}
	})
}
