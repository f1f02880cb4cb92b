package device_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

var prefix = []byte("d/")

// recorded returns a database that holds the devices.
func recorded(t testing.TB, ids ...device.ID) state.DB {
	t.Helper()
	db := state.NewMemory()
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Update(t.Context(), func(tx state.Tx) error {
		for _, id := range ids {
			if err := tx.Set(id.AppendKey([]byte("d/")), []byte{1}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return db
}

func find(t testing.TB, db state.DB, text string) (id device.ID, err error) {
	t.Helper()
	if fault := db.View(t.Context(), func(r state.Reader) error {
		id, err = device.Find(r, prefix, text)
		return nil
	}); fault != nil {
		t.Fatal(fault)
	}
	return id, err
}

func TestADeviceIsFoundByWhatNamesItAlone(t *testing.T) {
	one, other := device.ID{IssuerKeyID: "\xca\xfe\x00\x01", Serial: "S-1"}, device.ID{IssuerKeyID: "\xbe\xef\x00\x02", Serial: "S-1"}
	single, longer := device.ID{IssuerKeyID: "\xca\xfe\x00\x01", Serial: "S-2"}, device.ID{IssuerKeyID: "\xca\xfe\x00\x01", Serial: "S-22"}
	slashed := device.ID{IssuerKeyID: "\xca\xfe\x00\x01", Serial: "beef0002/S-1"}
	db := recorded(t, one, other, single, longer, slashed)
	for text, want := range map[string]device.ID{"S-2": single, "S-22": longer, "cafe0001/S-1": one, "beef0002/S-1": slashed, one.String(): one, slashed.String(): slashed} {
		if got, err := find(t, db, text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	var ambiguous *device.AmbiguousError
	if _, err := find(t, db, "S-1"); !errors.As(err, &ambiguous) || len(ambiguous.IDs) != 2 || ambiguous.More {
		t.Errorf("S-1: %v", err)
	} else if !strings.Contains(err.Error(), "cafe0001/S-1") || !strings.Contains(err.Error(), "beef0002/S-1") {
		t.Errorf("the error does not list the devices: %v", err)
	}
	var missing *device.NotFoundError
	for _, text := range []string{"S", "S-3", "", "cafe0001/S-3", "cafe/S-1", "xyz/S-1", "S-1\x00"} {
		if _, err := find(t, db, text); !errors.As(err, &missing) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestManyDevicesOfOneSerialNumberAreListedWithinBounds(t *testing.T) {
	var ids []device.ID
	for i := range 2 * device.MaxCandidates {
		ids = append(ids, device.ID{IssuerKeyID: string([]byte{1, byte(i)}), Serial: "S"})
	}
	var ambiguous *device.AmbiguousError
	if _, err := find(t, recorded(t, ids...), "S"); !errors.As(err, &ambiguous) || len(ambiguous.IDs) != device.MaxCandidates || !ambiguous.More {
		t.Errorf("error %v", err)
	}
}

func TestKeysNameTheirDevice(t *testing.T) {
	for _, id := range []device.ID{{IssuerKeyID: "\x00", Serial: "a"}, {IssuerKeyID: "\x00\x00\xff", Serial: "00-D0-E5"}, {IssuerKeyID: strings.Repeat("k", device.MaxIssuer), Serial: strings.Repeat("s", device.MaxSerial)}} {
		if got, err := device.ParseKey(id.AppendKey(nil)); err != nil || got != id {
			t.Errorf("%s came back as %s, %v", id, got, err)
		}
	}
	for _, key := range []string{"", "serial", "serial\x00", "\x00issuer", "ser\nial\x00issuer", "s\x00" + strings.Repeat("k", device.MaxIssuer+1)} {
		if id, err := device.ParseKey([]byte(key)); err == nil {
			t.Errorf("%q is %s", key, id)
		}
	}
}
