package registrar

import (
	"encoding/hex"
	"testing"

	"github.com/vouchmill/vouchmill/engine/device"
)

// A row that was listed before rows were manufacturers' admits as it did then,
// and belongs to somebody from then on.
func TestRecordsWithoutManufacturerStayAsTheyAre(t *testing.T) {
	old, err := hex.DecodeString("01a102666c6973746564") // {2: "listed"}
	if err != nil {
		t.Fatal(err)
	}
	dev, err := parse[deviceRecord]([]byte("d/"), old)
	if err != nil || dev.Standing != Listed {
		t.Fatalf("%+v, %v", dev, err)
	}
	s := &Service{cfg: Config{Admit: AdmitListed}}
	all := &makers{list: []device.Manufacturer{{Name: "first"}, {Name: "second"}}}
	s.makers.Store(all)
	who := func(i int) *device.Identity {
		return &device.Identity{ID: device.ID{IssuerKeyID: "chosen", Serial: "S"}, Manufacturer: &all.list[i], SPKI: digest{byte(i)}}
	}
	if r := s.mayJoin(&dev, who(0)); r != nil {
		t.Errorf("refused: %v", r)
	}
	if dev.Maker != "first" || s.mayJoin(&dev, who(1)) == nil {
		t.Errorf("it is nobody's: %+v", dev)
	}
}
