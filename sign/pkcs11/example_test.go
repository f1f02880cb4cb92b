package pkcs11_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/sign/pkcs11"
)

// A key is named by a URI; a PIN has no place in it.
func Example() {
	const name = "pkcs11:token=masa;object=voucher%20key?module-path=/usr/lib/softhsm/libsofthsm2.so"
	fmt.Println(pkcs11.IsURI(name), pkcs11.IsURI("masa.key"))

	uri, err := pkcs11.ParseURI(name + "&pin-source=file:/etc/masa/pin")
	fmt.Println(uri.Token, "|", uri.Object, "|", uri.PINSource, "|", err)

	_, err = pkcs11.ParseURI(name + "&pin-value=4711")
	fmt.Println(err)
	// Output:
	// true false
	// masa | voucher key | /etc/masa/pin | <nil>
	// pkcs11: key URI: pin-value: a PIN in a URI can be read by everyone; put it into a file for pin-source, or into VOUCHMILL_PKCS11_PIN
}
