package codec

import (
	"bytes"
	"fmt"
	"testing"
)

// What a decoder remembers of one voucher must not show in the next.
func TestLongLeavesOfDifferentVouchersAreKeptApart(t *testing.T) {
	var warm PayloadDecoder
	for i := range 40 {
		v := Voucher{SerialNumber: []byte(fmt.Sprint("S", i)), PinnedDomainCert: bytes.Repeat([]byte{byte(i / 3)}, 90+i/5*40)}
		payload, err := AppendVoucherJSON(nil, &v)
		if err != nil {
			t.Fatal(err)
		}
		var got, fresh Voucher
		if err := warm.VoucherJSON(payload, &got); err != nil {
			t.Fatal(err)
		}
		if err := new(PayloadDecoder).VoucherJSON(payload, &fresh); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.PinnedDomainCert, v.PinnedDomainCert) || !bytes.Equal(fresh.PinnedDomainCert, v.PinnedDomainCert) {
			t.Fatalf("voucher %d: pin % x, want % x", i, got.PinnedDomainCert, v.PinnedDomainCert)
		}
		// A text that differs in its last octet, or is not base64, is read anew.
		broken := bytes.Replace(payload, []byte("=\""), []byte("\""), 1)
		if !bytes.Equal(broken, payload) {
			if err := warm.VoucherJSON(broken, &got); err == nil {
				t.Fatalf("voucher %d: padding taken away goes unnoticed", i)
			}
		}
	}
}
