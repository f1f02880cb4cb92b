package masa_test

import (
	"bytes"
	"testing"

	"github.com/vouchmill/vouchmill/codec"
)

func TestARegistrarTheDeviceSawGetsProximity(t *testing.T) {
	for _, format := range []codec.Format{codec.FormatCMS, codec.FormatJWS} {
		t.Run(format.String(), func(t *testing.T) {
			w := newWorld(t)
			j := w.join(0)
			j.format = format
			v := j.voucher()
			if v.Format != format || v.Leaves.Assertion != codec.AssertionProximity || !bytes.Equal(v.Leaves.Nonce, j.request.Nonce) ||
				string(v.Leaves.SerialNumber) != "SN-1" || !v.Leaves.ExpiresOn.IsZero() || !v.Leaves.CreatedOn.Equal(w.now) {
				t.Errorf("voucher is %+v", v.Leaves)
			}
			if !bytes.Equal(v.Leaves.PinnedDomainCert, w.domain.cert.Raw) {
				t.Error("the domain CA is not pinned")
			}
			if v.Leaves.IDevIDIssuer != nil {
				t.Error("idevid-issuer is stated though the serial number is unique")
			}
			if n := w.events(0); n != 1 {
				t.Errorf("there are %d events, want 1", n)
			}
		})
	}
}
