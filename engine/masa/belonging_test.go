package masa_test

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
)

// Two manufacturers with lines below their anchors, whose devices present them.
// The second's line states the key identifier of the first's.
func withLines(t *testing.T, keyID []byte) (w *world, first, second *entity) {
	t.Helper()
	roots := []*entity{newEntity(t, "First root", nil, asCA), newEntity(t, "Second root", nil, asCA)}
	first = newEntity(t, "Line 3", roots[0], asCA, func(c *x509.Certificate) { c.SubjectKeyId = keyID })
	second = newEntity(t, "Line 3", roots[1], asCA, func(c *x509.Certificate) { c.SubjectKeyId = first.cert.SubjectKeyId })
	w = newWorld(t, func(c *masa.Config) {
		for i, name := range []string{"first", "second"} {
			c.Manufacturers = append(c.Manufacturers, device.Manufacturer{Name: name, Anchors: []*x509.Certificate{roots[i].cert}})
		}
	})
	w.devices = []*entity{newEntity(t, "Device", first, asDevice("SN-9")), newEntity(t, "Device", second, asDevice("SN-9"))}
	return w, first, second
}

// Whoever makes a CA chooses its key identifier: a device on record is not that
// of another manufacturer who states the same.
func TestADeviceIsNotClaimedByAnotherManufacturer(t *testing.T) {
	chosen := []byte("a name that is free.")
	for name, c := range map[string]struct {
		keyID     []byte
		maker     string
		own       bool // the first's device gets its voucher
		confirmed bool // the list is imported for the first afterwards
	}{
		"imported for its manufacturer":  {chosen, "first", true, false},
		"a digest of the key":            {nil, "", true, false},
		"imported for nobody":            {chosen, "", false, false},
		"imported for nobody, then told": {chosen, "", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w, first, second := withLines(t, c.keyID)
			row := "serial-number,idevid-issuer\nSN-9," + hex.EncodeToString(first.cert.SubjectKeyId) + "\n"
			if done := w.importList(masa.ImportOptions{Manufacturer: c.maker}, row); done.New != 1 {
				t.Fatalf("%+v", done)
			}
			if c.confirmed {
				if done := w.importList(masa.ImportOptions{Manufacturer: "first"}, row); done.Changed != 1 {
					t.Fatalf("%+v", done)
				}
			}
			impostor := w.join(1)
			impostor.pledgeChain = []*entity{second}
			r := w.refused(impostor.exchange(), decision.PriorSignature)
			if !strings.Contains(r.Operator, "second") {
				t.Errorf("the operator is told %q", r.Operator)
			}
			own := w.join(0)
			own.pledgeChain = []*entity{first}
			if !c.own {
				w.refused(own.exchange(), decision.PriorSignature)
				w.importList(masa.ImportOptions{}, pemOf(w.devices[0], first)) // its certificate says whose it is
			}
			own.voucher()
			w.refused(impostor.exchange(), decision.PriorSignature)
		})
	}
}

func TestADeviceIsImportedForItsManufacturer(t *testing.T) {
	w, first, second := withLines(t, nil)
	rejected := func(maker, text string) {
		t.Helper()
		r, err := list.NewReader(strings.NewReader(text), list.Options{})
		must(t, err)
		_, err = w.masa.ImportDevices(context.Background(), r, masa.ImportOptions{Now: w.now, Manufacturer: maker})
		var bad *list.RowError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "first") || !strings.Contains(err.Error(), "second") {
			t.Errorf("for %s: %v", maker, err)
		}
	}
	rejected("second", pemOf(w.devices[0], first))
	w.importList(masa.ImportOptions{}, pemOf(w.devices[0], first))
	rejected("", pemOf(w.devices[1], second))
	rejected("second", "serial-number,idevid-issuer\nSN-9,"+hex.EncodeToString(first.cert.SubjectKeyId)+"\n")
	r, err := list.NewReader(strings.NewReader("serial-number\n"), list.Options{})
	must(t, err)
	var usage *masa.UsageError
	if _, err := w.masa.ImportDevices(context.Background(), r, masa.ImportOptions{Now: w.now, Manufacturer: "third"}); !errors.As(err, &usage) {
		t.Errorf("for a manufacturer that is not known: %v", err)
	}
}
