package codec_test

import (
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
)

func ExampleAppendVoucherJSON() {
	v := codec.Voucher{
		Assertion:        codec.AssertionVerified,
		CreatedOn:        time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ExpiresOn:        time.Date(2036, 1, 2, 3, 4, 5, 0, time.UTC),
		SerialNumber:     []byte("JADA123456789"),
		PinnedDomainCert: []byte{0x30, 0x03, 0x02, 0x01, 0x01},
	}
	if err := v.Validate(codec.Rules{Strict: true}); err != nil {
		fmt.Println(err)
	}
	payload, err := codec.AppendVoucherJSON(nil, &v)
	fmt.Printf("%s %v\n", payload, err)
	// Output:
	// {"ietf-voucher:voucher":{"created-on":"2026-01-02T03:04:05Z","expires-on":"2036-01-02T03:04:05Z","assertion":"verified","pinned-domain-cert":"MAMCAQE=","serial-number":"JADA123456789"}} <nil>
}

func ExamplePayloadDecoder() {
	d := codec.PayloadDecoder{Unknown: codec.KeepUnknown}
	var v codec.Voucher
	err := d.VoucherJSON([]byte(`{"ietf-voucher:voucher":{"nonce":"AAECAwQFBgc=","serial-number":"JADA123456789","color":"blue"}}`), &v)
	fmt.Printf("%s %x %s=%s %v\n", v.SerialNumber, v.Nonce, v.Unknown[0].Name, v.Unknown[0].Value, err)
	fmt.Println(v.Validate(codec.Rules{}))
	// Output:
	// JADA123456789 0001020304050607 color="blue" <nil>
	// pinned-domain-cert: is absent, and so are pinned-domain-pubk and pinned-domain-pubk-sha256: a voucher needs one of them (draft-ietf-anima-rfc8366bis, module ietf-voucher)
}

func ExampleNormalizeIssuer() {
	canonical, err := codec.NormalizeIssuer([]byte("key-id-20-octets-xxx"))
	fmt.Printf("%x %v\n", canonical[:6], err)
	// Output: 041830168014 <nil>
}
