package artefact_test

import (
	"context"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/sign"
)

// A voucher is sealed by its maker and opened by a pledge that trusts the
// maker's authority.
func Example() {
	now := time.Now().UTC().Truncate(time.Second)
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: "Example MASA", NotBefore: now, NotAfter: now.AddDate(1, 0, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := sign.LoadKey(pki.SignerKey, nil)
	signer, _ := sign.NewSigner(sign.ES256, key, sign.Options{})
	chain, _ := sign.LoadChain(pki.Signer)
	anchors, _ := sign.LoadCertificates(pki.CA)

	sealer, err := artefact.NewSealer(artefact.SealerParams{Format: codec.FormatJWS, Signer: artefact.Signing(signer), Chain: chain})
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := sealer.Voucher(context.Background(), &codec.Voucher{Assertion: codec.AssertionLogged, CreatedOn: now,
		SerialNumber: []byte("JADA123456789"), Nonce: []byte("0123456789abcdef"), PinnedDomainCert: anchors[0].Raw}, false)
	if err != nil {
		fmt.Println(err)
		return
	}

	verifier, _ := sign.NewVerifier(sign.VerifierOptions{})
	opener := artefact.Opener{Verifier: artefact.Verifying(verifier)}
	voucher, err := opener.Voucher(context.Background(), codec.FormatJWS, body, artefact.Trust{Anchors: anchors, At: now})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s for %s, signed by %s\n", voucher.Leaves.Assertion, voucher.Leaves.SerialNumber, voucher.Signer.Subject)
	// Output: logged for JADA123456789, signed by CN=Example MASA
}
