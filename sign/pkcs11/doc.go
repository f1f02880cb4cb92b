// Package pkcs11 signs with keys that live in hardware security modules, smart
// cards and whatever else speaks PKCS#11.
//
// A key is named by a URI of RFC 7512:
//
//	pkcs11:token=masa;object=voucher-2026?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/masa/pin
//
// [Open] finds it and gives a [Key], a [crypto.Signer] that is also asked for
// its certificate like any other key; [Key.NewSigner] makes the batch signer.
// [Generate] makes a new key on the token. The PIN comes from the file that
// pin-source names, else from the environment variable VOUCHMILL_PKCS11_PIN;
// a PIN inside the URI is refused, since command lines are public.
//
// # Sessions and removal
//
// A key holds a bounded pool of sessions and signs as many items at once. The
// object handle is looked up once per connection. When the token goes away
// while it is in use, signing waits and connects anew for as long as
// [Options.Patience] says, and makes sure that the key found again is the same.
// [Key.Stats] says what is waiting.
//
// # Keys
//
// ECDSA keys on P-256, P-384 and P-521, for ES256, ES384 and ES512. The token
// chooses its nonces, so signatures differ from run to run.
//
// Without cgo the package builds, and Open and Generate return [ErrNoCgo].
package pkcs11
