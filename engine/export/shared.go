package export

import (
	"bytes"
	"context"
	"crypto/rand"

	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/seen"
)

// scanEvery is how many pages are scanned between two looks at the context.
const scanEvery = 64

// shared knows the serial numbers that several issuers have. It is safe for
// concurrent use.
type shared struct {
	run  *run.Reader
	key  seen.Key
	hits map[uint64]struct{} // hashes met more than once; the store confirms them
}

// findShared looks for serial numbers that occur more than once. It returns nil
// when there are none.
func findShared(ctx context.Context, r *run.Reader) (*shared, error) {
	several, err := severalIssuers(r)
	if err != nil || !several {
		return nil, err
	}
	var key [16]byte
	rand.Read(key[:])
	s := &shared{run: r, key: seen.NewKey(key), hits: make(map[uint64]struct{})}
	var set seen.Set
	pages := 0
	for view, err := range r.Run.Pages(0) {
		if err != nil {
			return nil, err
		}
		if pages++; pages%scanEvery == 0 {
			if err := context.Cause(ctx); err != nil {
				return nil, &engine.StopError{Aborted: true, Cause: err}
			}
		}
		for i := range view.Count() {
			if h := s.key.Hash(nil, view.Serial(i)); set.Insert(h) {
				s.hits[h] = struct{}{}
			}
		}
	}
	if len(s.hits) == 0 {
		return nil, nil
	}
	return s, nil
}

// severalIssuers reports whether the run's variants differ in issuer. Within one
// issuer no serial number comes twice.
func severalIssuers(r *run.Reader) (bool, error) {
	ids, err := r.Run.Variants()
	if err != nil {
		return false, err
	}
	var first []byte
	for i, id := range ids {
		v, err := r.Variant(id)
		if err != nil {
			return false, err
		}
		if i == 0 {
			first = v.KeyID
		} else if !bytes.Equal(first, v.KeyID) {
			return true, nil
		}
	}
	return false, nil
}

// has reports whether the voucher of this serial number and issuer needs the
// issuer in its name: another issuer has the same, and it has one.
func (s *shared) has(serial, keyID []byte) (bool, error) {
	if _, hit := s.hits[s.key.Hash(nil, serial)]; !hit || len(keyID) == 0 {
		return false, nil
	}
	for found, err := range s.run.Find(serial) {
		if err != nil {
			return false, err
		}
		if !bytes.Equal(found.KeyID, keyID) {
			return true, nil
		}
	}
	return false, nil
}
