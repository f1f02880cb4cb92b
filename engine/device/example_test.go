package device_test

import (
	"context"
	"fmt"

	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// Two manufacturers may use one serial number; nobody guesses which is meant.
func Example() {
	db := state.NewMemory()
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	_ = db.Update(ctx, func(tx state.Tx) error {
		for _, id := range []device.ID{{IssuerKeyID: "\x01\x02", Serial: "S-1"}, {IssuerKeyID: "\x0a\x0b", Serial: "S-1"}} {
			if err := tx.Set(id.AppendKey(nil), nil); err != nil {
				return err
			}
		}
		return nil
	})
	_ = db.View(ctx, func(r state.Reader) error {
		_, err := device.Find(r, nil, "S-1")
		fmt.Println(err)
		id, err := device.Find(r, nil, "0a0b/S-1")
		fmt.Println(id, err)
		return nil
	})
	// Output:
	// serial number "S-1" is that of several devices; name one of them: 0102/S-1 0a0b/S-1
	// 0a0b/S-1 <nil>
}
