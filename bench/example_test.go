package bench_test

import (
	"crypto/x509"
	"fmt"

	"github.com/smallstep/pkcs7"

	"github.com/vouchmill/vouchmill/bench"
	"github.com/vouchmill/vouchmill/codec"
)

// Two vouchers made in memory, read and verified by another library.
func ExampleBatch() {
	fixture, err := bench.NewFixture()
	if err != nil {
		fmt.Println(err)
		return
	}
	template, err := fixture.Template(codec.FormatCMS)
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := fixture.Signer("")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer signer.Close()
	batch, err := bench.NewBatch(signer, template)
	if err == nil {
		err = batch.Make([][]byte{[]byte("VM-1"), []byte("VM-2")})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	roots := x509.NewCertPool()
	roots.AddCert(fixture.Chain[1])
	for i := range batch.Len() {
		voucher, err := pkcs7.Parse(batch.Voucher(i))
		fmt.Println(err, voucher.VerifyWithChain(roots))
	}
	// Output:
	// <nil> <nil>
	// <nil> <nil>
}
