package issue

import (
	"context"
	"errors"
	"os"

	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// DryRun checks a whole list as Run would, and signs nothing: every row, every
// duplicate, every variant. It works in a store of its own in dir (the system's
// temporary directory where dir is empty) that is gone when it returns;
// cfg.Store is not written to, and need not be there. Result.Vouchers counts the rows that would be
// signed.
func DryRun(ctx context.Context, cfg Config, dir string) (result *Result, err error) {
	scratch, err := os.MkdirTemp(dir, "vouchmill-dry-run-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if cfg.Store, err = store.Open(scratch, store.Options{Create: true}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cfg.Store.Close()) }()
	cfg.Signer = blank{cfg.Signer}
	return Run(ctx, cfg)
}

// blank signs with zeros.
type blank struct{ sign.Signer }

// SignBatch leaves zeros for signatures.
func (b blank) SignBatch(sigs []byte, _ [][]byte) error {
	clear(sigs)
	return nil
}
