package audit_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// What a MASA does for a request, on disk, with many requests under way.
func BenchmarkAppendOnDisk(b *testing.B) {
	db, err := state.Open(filepath.Join(b.TempDir(), "db"), state.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	secret, _, err := audit.GenerateKey(rand.Reader, "masa.example.com/audit")
	if err != nil {
		b.Fatal(err)
	}
	signer, err := audit.NewSigner(secret)
	if err != nil {
		b.Fatal(err)
	}
	log, err := audit.New(signer, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			e := voucher(i, device.ID{IssuerKeyID: "i", Serial: fmt.Sprint(i)}, "domain", "nonce")
			if err := db.Update(background, func(tx state.Tx) error { _, err := log.Append(tx, e); return err }); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
