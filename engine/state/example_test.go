package state_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vouchmill/vouchmill/engine/state"
)

// Two customers ask for one device. The first gets it, and the answer to the
// second is true on disk before it is given.
func Example() {
	parent, err := os.MkdirTemp("", "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	db, err := state.Open(filepath.Join(parent, "masa"), state.Options{Create: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	ctx := context.Background()
	key := []byte("owner/00-D0-E5-F2-00-02")
	errOwned := errors.New("the device has an owner")
	for _, customer := range []string{"Acme", "Initech"} {
		err := db.Update(ctx, func(tx state.Tx) error {
			_, err := tx.Get(key)
			switch {
			case err == nil:
				return errOwned
			case errors.Is(err, state.ErrNotFound):
				return tx.Set(key, []byte(customer))
			}
			return err
		})
		fmt.Println(customer, err)
	}
	err = db.View(ctx, func(r state.Reader) error {
		return r.Scan([]byte("owner/"), nil, func(key, value []byte) error {
			fmt.Printf("%s = %s\n", key, value)
			return nil
		})
	})
	fmt.Println(err)
	// Output:
	// Acme <nil>
	// Initech the device has an owner
	// owner/00-D0-E5-F2-00-02 = Acme
	// <nil>
}
