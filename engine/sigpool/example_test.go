package sigpool_test

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/sigpool"
	"github.com/vouchmill/vouchmill/sign"
)

// A server signs for many requests at a time.
func Example() {
	key, _ := sign.GenerateKey(sign.ES256, nil)
	batch, _ := sign.NewSigner(sign.ES256, key, sign.Options{})
	defer batch.Close()
	signer, err := sigpool.NewSigner(batch, engine.OnlineConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer signer.Close()

	digest := sha256.Sum256([]byte("a voucher"))
	signature, err := signer.Sign(context.Background(), digest[:])
	fmt.Println(len(signature), err, signer.Stats().Items)
	// Output: 64 <nil> 1
}
