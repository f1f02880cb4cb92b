package verify_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/verify"
	"github.com/vouchmill/vouchmill/sign"
)

// A buyer got two vouchers and has the manufacturer's certificate. Usually they
// come from verify.File or verify.StoredRun.
func Example() {
	anchor, received := received()
	received[1].Voucher[len(received[1].Voucher)-1] ^= 1 // damaged on its way

	expected := new(verify.Serials)
	for _, serial := range []string{"JADA123456789", "JADA123456790"} {
		if _, err := expected.Add([]byte(serial), nil); err != nil {
			log.Fatal(err)
		}
	}
	report, err := verify.Run(context.Background(), verify.Config{
		Sources: []verify.Source{verify.Entries("mail", &memory{entries: received})},
		Trust:   verify.Trust{Anchors: []*x509.Certificate{anchor}, At: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)},
		Expect:  verify.Expectation{Serials: expected},
		Failed: func(f *verify.Failure) error {
			fmt.Println(f)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("passed:", report.Passed, "failed:", report.Failed, "missing:", report.Missing)
	// Output:
	// mail, item 1: signature: it does not verify under the ES256 key of "CN=Example MASA": the signed octets were altered, or another key made it; take the voucher from where it was issued
	// expected devices, serial number "JADA123456790": serial-number: missing: the device has no voucher that passed; issue a voucher for it, or correct the list
	// passed: 1 failed: 1 missing: 1
}

// received makes what a manufacturer has made.
func received() (anchor *x509.Certificate, entries []bundle.Entry) {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	created := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: "Example MASA", NotBefore: created, NotAfter: created.AddDate(10, 0, 0)})
	must(err)
	chain, err := sign.LoadChain(pki.Signer)
	must(err)
	key, err := sign.LoadKey(pki.SignerKey, nil)
	must(err)
	signer, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	must(err)
	encoder, err := codec.NewEnvelopeEncoder(codec.EnvelopeParams{Format: codec.FormatCOSE, Algorithm: artefact.AlgorithmID(sign.ES256),
		Chain: [][]byte{chain[0].Raw, chain[1].Raw}})
	must(err)
	for i, serial := range []string{"JADA123456789", "JADA123456790"} {
		payload, err := codec.AppendVoucherCBOR(nil, &codec.Voucher{Assertion: codec.AssertionLogged, CreatedOn: created,
			ExpiresOn: created.AddDate(1, 0, 0), SerialNumber: []byte(serial), PinnedDomainCert: chain[1].Raw})
		must(err)
		signature := make([]byte, sign.ES256.SignatureSize)
		must(signer.SignBatch(signature, [][]byte{sign.SHA256.Append(nil, encoder.AppendSigned1(nil, payload))}))
		voucher, err := encoder.AppendEnvelope(nil, payload, nil, signature)
		must(err)
		entries = append(entries, bundle.Entry{Place: fmt.Sprintf("item %d", i), Voucher: voucher})
	}
	return chain[1], entries
}
