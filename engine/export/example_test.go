package export_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/export"
	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

func ExampleRun() {
	dir, err := os.MkdirTemp("", "export")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(filepath.Join(dir, "store"), store.Options{Create: true})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	issued(s)

	r, err := s.Run("lot-7")
	if err != nil {
		log.Fatal(err)
	}
	reader, err := run.NewReader(r)
	if err != nil {
		log.Fatal(err)
	}
	result, err := export.Run(context.Background(), export.Config{Run: reader, Path: filepath.Join(dir, "lot-7") + "/"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Vouchers, "vouchers, manifest:", result.Manifest)
	files, err := os.ReadDir(filepath.Join(dir, "lot-7"))
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(f.Name())
	}
	// Output:
	// 2 vouchers, manifest: true
	// JADA123456789.vcj
	// JADA123456790.vcj
	// manifest.json
	// order.txt
}

// issued makes the run that is exported.
func issued(s *store.Store) {
	created := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: "Example MASA", NotBefore: created, NotAfter: created.AddDate(10, 0, 0)})
	if err != nil {
		log.Fatal(err)
	}
	var chain []*x509.Certificate
	if chain, err = sign.LoadChain(pki.Signer); err != nil {
		log.Fatal(err)
	}
	key, err := sign.LoadKey(pki.SignerKey, nil)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := sign.NewSigner(sign.ES256, key, sign.Options{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = issue.Run(context.Background(), issue.Config{Store: s, Signer: signer,
		Header: run.Header{Name: "lot-7", Format: "cms", Algorithm: "ES256", Chain: [][]byte{chain[0].Raw, chain[1].Raw}, CreatedOn: run.FormatTime(created),
			ExpiresOn: "365d", Assertion: "logged", PinAs: run.PinCert, Pins: []run.Pin{{Cert: chain[1].Raw}}, SerialFrom: "subject", SerialBytes: 64},
		Devices: func() (*list.Reader, error) {
			return list.NewReader(strings.NewReader("serial-number\nJADA123456789\nJADA123456790\n"), list.Options{})
		}})
	if err != nil {
		log.Fatal(err)
	}
}
