package run_test

import (
	"fmt"
	"log"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

// Vouchers for a batch of devices, in memory, by the steps that issuing takes.
func Example() {
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
	defer signer.Close()

	// Once a run: what its vouchers have in common.
	compiler, err := run.NewCompiler(&run.Header{Version: run.HeaderVersion, Name: "lot-7", Format: "cose", Algorithm: "ES256",
		Chain: [][]byte{chain[0].Raw, chain[1].Raw}, CreatedOn: run.FormatTime(created), ExpiresOn: "1y", Assertion: "logged",
		PinAs: run.PinCert, Pins: []run.Pin{{Cert: chain[1].Raw}}, SerialFrom: "subject", SerialBytes: 64})
	must(err)
	expires, err := run.ResolveExpiry("1y", created)
	must(err)
	template, err := compiler.Compile(&run.Variant{ExpiresOn: expires})
	must(err)
	maker, err := run.NewMaker(sign.ES256)
	must(err)

	// Once a batch: encode, hash, sign.
	serials := [][]byte{[]byte("A-1"), []byte("A-2")}
	must(maker.Prepare(serials, []*run.Template{template, template}))
	signatures := make([]byte, len(serials)*sign.ES256.SignatureSize)
	must(signer.SignBatch(signatures, maker.Inputs()))

	// Where bytes are wanted; the store keeps serial numbers and signatures.
	for i := range serials {
		voucher, err := maker.AppendEnvelope(nil, i, signatures[i*sign.ES256.SignatureSize:][:sign.ES256.SignatureSize])
		must(err)
		report, err := codec.Inspect(voucher, codec.Limits{})
		must(err)
		for _, leaf := range report.Payload.Leaves {
			if leaf.Name == "serial-number" || leaf.Name == "expires-on" {
				fmt.Println(leaf.Name, *leaf.Text)
			}
		}
	}
	// Output:
	// expires-on 2027-03-01T00:00:00Z
	// serial-number A-1
	// expires-on 2027-03-01T00:00:00Z
	// serial-number A-2
}
