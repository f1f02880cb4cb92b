package list_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vouchmill/vouchmill/engine/list"
)

func Example() {
	const devices = `serial-number,expires-on
A-0001,never
A-0002,tomorrow
"A-0003",2030-01-01T00:00:00Z
`
	r, err := list.NewReader(strings.NewReader(devices), list.Options{Name: "devices.csv"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	var rec list.Record
	for {
		err := r.Read(&rec)
		var bad *list.RowError
		switch {
		case err == io.EOF:
			return
		case errors.As(err, &bad):
			fmt.Printf("%s: %v\n", bad.Place(), bad.Err)
		case err != nil:
			fmt.Println(err)
			return
		default:
			fmt.Printf("line %d: %s until %s\n", rec.Line, rec.Serial, rec.ExpiresOn)
		}
	}
	// Output:
	// line 2: A-0001 until never
	// line 3, octet 8: "tomorrow" is not a time
	// line 4: A-0003 until 2030-01-01T00:00:00Z
}

func ExampleSynthetic() {
	s := list.Synthetic{Count: 3, Seed: 1, Format: list.FormatNDJSON}
	if err := s.Write(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"serial-number":"VM-000000002"}
	// {"serial-number":"VM-000000001"}
	// {"serial-number":"VM-000000000"}
}
