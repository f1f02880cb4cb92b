package audit_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// A MASA logs two vouchers and answers requestauditlog; a registrar judges the
// answer and checks its proofs.
func Example() {
	ctx := context.Background()
	secret, public, err := audit.GenerateKey(rand.Reader, "masa.example.com/audit")
	if err != nil {
		fmt.Println(err)
		return
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	log, err := audit.New(signer, rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	db := state.NewMemory()
	id := device.ID{IssuerKeyID: "\x01\x02", Serial: "00-D0-E5-F2-00-02"}
	nonce := "f4G6Vi1t8nKo/FieCVgpBg=="
	for i, domain := range []string{"a distributor", "our own domain"} {
		err := db.Update(ctx, func(tx state.Tx) error {
			_, err := log.Append(tx, &audit.Event{Kind: audit.VoucherIssued, Assertion: codec.AssertionProximity,
				Date: time.Date(2026, 11, 27+i, 8, 0, 0, 0, time.UTC), Device: id, DomainID: []byte(domain), Nonce: &nonce})
			return err
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	var body []byte
	if err := db.View(ctx, func(r state.Reader) error {
		body, err = log.AppendResponse(nil, r, audit.ResponseParams{Device: id})
		return err
	}); err != nil {
		fmt.Println(err)
		return
	}

	response, err := audit.ParseResponse(body, audit.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	verdict := audit.Judge(response, audit.Policy{Ours: [][]byte{[]byte("our own domain")}})
	for _, f := range verdict.Findings {
		fmt.Println(f.Good, f.Text)
	}
	verifier, err := audit.NewVerifier(public)
	if err != nil {
		fmt.Println(err)
		return
	}
	head, err := response.VerifyLog(verifier, id.Serial)
	fmt.Println(head.Size, err)
	// Output:
	// true a voucher of 2026-11-28T08:00:00Z for domain b3VyIG93biBkb21haW4=, which is ours
	// false a voucher of 2026-11-27T08:00:00Z for domain YSBkaXN0cmlidXRvcg==, which is not known here
	// 2 <nil>
}
