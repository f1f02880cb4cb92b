package decision_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/engine/decision"
)

// decide refuses nonces that are too short.
func decide(trail *decision.Trail, nonce []byte) error {
	trail.Pass("signature", "by the IDevID")
	if len(nonce) < 8 {
		return trail.Refuse(decision.BadNonce, "nonce", "it has %d octets, want 8 to 32", len(nonce))
	}
	return nil
}

func Example() {
	var trail decision.Trail
	refusal := decision.Of(decide(&trail, []byte{1, 2, 3}))
	fmt.Println("the peer:", refusal.Public)
	fmt.Println("the operator:", refusal.Operator)
	for _, c := range trail.Checks() {
		fmt.Println(c.Name, c.OK)
	}
	// Output:
	// the peer: the nonce is missing or not valid
	// the operator: it has 3 octets, want 8 to 32
	// signature true
	// nonce false
}
