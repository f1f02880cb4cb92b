package issue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/engine/issue"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// A list with a repeated row stops the run. With the row mended, the same job
// completes it.
func Example() {
	dir, err := os.MkdirTemp("", "issue")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := store.Open(dir, store.Options{Create: true})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	header, signer := lot7()
	defer signer.Close()

	for _, rows := range []string{"A-1\nA-2\nA-1\n", "A-1\nA-2\nA-3\n"} {
		result, err := issue.Run(context.Background(), issue.Config{
			Store: s, Header: header, Signer: signer,
			Devices: func() (*list.Reader, error) {
				return list.NewReader(strings.NewReader("serial-number\n"+rows), list.Options{Name: "devices.csv"})
			},
		})
		var bad *list.RowError
		switch {
		case errors.As(err, &bad):
			fmt.Println("stopped at line", bad.Line)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Printf("%s has %d vouchers\n", result.Run, result.Vouchers)
		}
	}
	// Output:
	// stopped at line 4
	// lot-7 has 3 vouchers
}

// lot7 makes a signer and the settings of a run of CMS vouchers.
func lot7() (run.Header, sign.Signer) {
	created := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	pki, err := sign.NewDemoPKI(sign.DemoOptions{Algorithm: sign.ES256, CommonName: "Example MASA", NotBefore: created, NotAfter: created.AddDate(10, 0, 0)})
	if err != nil {
		log.Fatal(err)
	}
	chain, err := sign.LoadChain(pki.Signer)
	if err != nil {
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
	return run.Header{Name: "lot-7", Format: "cms", Algorithm: "ES256", Chain: [][]byte{chain[0].Raw, chain[1].Raw},
		CreatedOn: run.FormatTime(created), ExpiresOn: "1y", Assertion: "logged", PinAs: run.PinCert,
		Pins: []run.Pin{{Cert: chain[1].Raw}}, SerialFrom: "subject", SerialBytes: 64}, signer
}
