package codec

import "testing"

// payloadCases are one operation each over a warm decoder or buffer.
func payloadCases(t testing.TB) map[string]func() error {
	v, r := fullVoucher(), fullRequest()
	vj, err1 := AppendVoucherJSON(nil, &v)
	vc, err2 := AppendVoucherCBOR(nil, &v)
	rj, err3 := AppendRequestJSON(nil, &r)
	rc, err4 := AppendRequestCBOR(nil, &r)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d, buf := &PayloadDecoder{Unknown: KeepUnknown}, make([]byte, 0, 8192)
	var outV Voucher
	var outR VoucherRequest
	uj := []byte(`{"ietf-voucher:voucher":{"x":{"a":[1,2],"b":"\u00e9"},"y":true,"serial-number":"S\/1"}}`)
	return map[string]func() error{
		"op=decode/artefact=voucher/enc=json": func() error { return d.VoucherJSON(vj, &outV) },
		"op=decode/artefact=voucher/enc=cbor": func() error { return d.VoucherCBOR(vc, &outV) },
		"op=decode/artefact=request/enc=json": func() error { return d.RequestJSON(rj, &outR) },
		"op=decode/artefact=request/enc=cbor": func() error { return d.RequestCBOR(rc, &outR) },
		"op=decode/artefact=unknown/enc=json": func() error { return d.VoucherJSON(uj, &outV) },
		"op=encode/artefact=voucher/enc=json": func() error { _, err := AppendVoucherJSON(buf, &v); return err },
		"op=encode/artefact=voucher/enc=cbor": func() error { _, err := AppendVoucherCBOR(buf, &v); return err },
		"op=encode/artefact=request/enc=json": func() error { _, err := AppendRequestJSON(buf, &r); return err },
		"op=encode/artefact=request/enc=cbor": func() error { _, err := AppendRequestCBOR(buf, &r); return err },
	}
}

func TestPayloadsCostNoAllocationOnceWarm(t *testing.T) {
	for name, op := range payloadCases(t) {
		if err := op(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = op() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkPayload(b *testing.B) {
	for name, op := range payloadCases(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := op(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
