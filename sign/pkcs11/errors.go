package pkcs11

import (
	"errors"
	"fmt"
)

// Errors a caller may branch on with errors.Is.
var (
	// ErrNoCgo is returned by programs built without cgo.
	ErrNoCgo = errors.New("pkcs11: this program was built without cgo, which keys on tokens need; build it with CGO_ENABLED=1 and a C compiler")
	// ErrModule is returned when the PKCS#11 library cannot be loaded.
	ErrModule = errors.New("pkcs11: the library that module-path names cannot be loaded; it must exist, be for this processor and have its own libraries at hand")
	// ErrNoToken is returned when no token is the one the URI selects.
	ErrNoToken = errors.New("pkcs11: no token is the one the key URI selects; see that it is plugged in and initialised, and list tokens by pkcs11-tool -L")
	// ErrNoKey is returned when the token has no such key pair.
	ErrNoKey = errors.New("pkcs11: the token has no such key; both halves must be on it, under the same id")
	// ErrManyKeys is returned when several keys fit the URI.
	ErrManyKeys = errors.New("pkcs11: several keys on the token fit; name the one by its id")
	// ErrExists is returned by Generate when the token has such a key already.
	ErrExists = errors.New("pkcs11: the token has a key of this label or id already; choose another, or delete the old one first")
	// ErrOtherKey is returned when the token that came back holds another key
	// under the same name.
	ErrOtherKey = errors.New("pkcs11: the token that was connected anew holds another key under the same name")
)

// Error is a PKCS#11 function's failure.
type Error struct {
	Op   string // what was done: "signing", "connecting"
	Code uint   // CK_RV
	Err  error  // as the library reported it
}

// Error gives the operation, the return value by name and number, and the cause.
func (e *Error) Error() string {
	return fmt.Sprintf("pkcs11: %s: %s (0x%x): %s", e.Op, e.Name(), e.Code, e.Cause())
}

// Unwrap gives the error as it was reported.
func (e *Error) Unwrap() error { return e.Err }

// Name is the value's name in the standard, such as "CKR_PIN_INCORRECT".
func (e *Error) Name() string {
	if v, ok := returnValues[e.Code]; ok {
		return v.name
	}
	if e.Code >= 0x80000000 {
		return "CKR_VENDOR_DEFINED"
	}
	return "unknown value"
}

// Cause is the usual cause and the remedy.
func (e *Error) Cause() string {
	if v, ok := returnValues[e.Code]; ok {
		return v.cause
	}
	return "see the documentation of the token's maker"
}

// Lost reports whether the connection to the token is what failed, so that
// connecting anew may help.
func (e *Error) Lost() bool { return returnValues[e.Code].lost }

// Refused reports whether the token refused the PIN or the user: trying again
// could lock it.
func (e *Error) Refused() bool { return returnValues[e.Code].refused }

type returnValue struct {
	name, cause   string
	lost, refused bool
}

// returnValues are those that keys and sessions meet in practice (PKCS#11 v3.0
// §5.1 and the header's values).
var returnValues = map[uint]returnValue{
	0x02:  {name: "CKR_HOST_MEMORY", cause: "this machine has no memory left for the token's library"},
	0x03:  {name: "CKR_SLOT_ID_INVALID", cause: "there is no such slot now; the token was moved or taken out", lost: true},
	0x05:  {name: "CKR_GENERAL_ERROR", cause: "the token's library failed inside; its own log says more", lost: true},
	0x06:  {name: "CKR_FUNCTION_FAILED", cause: "the token could not do it; its own log says more"},
	0x07:  {name: "CKR_ARGUMENTS_BAD", cause: "the token's library does not accept the call; see that it is current"},
	0x13:  {name: "CKR_ATTRIBUTE_VALUE_INVALID", cause: "the token does not accept an attribute of the key, such as its curve"},
	0x30:  {name: "CKR_DEVICE_ERROR", cause: "the token or its connection failed; see its cable, network and state", lost: true},
	0x31:  {name: "CKR_DEVICE_MEMORY", cause: "the token is full; delete keys or sessions that are no longer used"},
	0x32:  {name: "CKR_DEVICE_REMOVED", cause: "the token was taken out while it was in use", lost: true},
	0x54:  {name: "CKR_FUNCTION_NOT_SUPPORTED", cause: "the token cannot do this at all"},
	0x60:  {name: "CKR_KEY_HANDLE_INVALID", cause: "the key is gone, or the connection it was found on", lost: true},
	0x62:  {name: "CKR_KEY_SIZE_RANGE", cause: "the token does not take keys of this size"},
	0x63:  {name: "CKR_KEY_TYPE_INCONSISTENT", cause: "the key is of another type than the algorithm"},
	0x68:  {name: "CKR_KEY_FUNCTION_NOT_PERMITTED", cause: "the key may not sign; it was made without CKA_SIGN"},
	0x70:  {name: "CKR_MECHANISM_INVALID", cause: "the token does not know the mechanism; CKM_ECDSA is needed"},
	0x71:  {name: "CKR_MECHANISM_PARAM_INVALID", cause: "the token does not accept the mechanism's parameters"},
	0x82:  {name: "CKR_OBJECT_HANDLE_INVALID", cause: "the key is gone, or the connection it was found on", lost: true},
	0x90:  {name: "CKR_OPERATION_ACTIVE", cause: "a session is busy with something else; another program may share it"},
	0x91:  {name: "CKR_OPERATION_NOT_INITIALIZED", cause: "the session lost its state; the token may have been reset", lost: true},
	0xa0:  {name: "CKR_PIN_INCORRECT", cause: "the PIN is wrong; after a few more wrong ones the token locks", refused: true},
	0xa1:  {name: "CKR_PIN_INVALID", cause: "the PIN has characters the token does not take", refused: true},
	0xa2:  {name: "CKR_PIN_LEN_RANGE", cause: "the PIN is too short or too long; see for blanks at its end", refused: true},
	0xa3:  {name: "CKR_PIN_EXPIRED", cause: "the PIN must be changed first", refused: true},
	0xa4:  {name: "CKR_PIN_LOCKED", cause: "the PIN is locked after wrong ones; the security officer must unlock it", refused: true},
	0xb0:  {name: "CKR_SESSION_CLOSED", cause: "the session was closed; the token was taken out or another program closed it", lost: true},
	0xb1:  {name: "CKR_SESSION_COUNT", cause: "the token has no sessions left; ask for fewer or close other programs"},
	0xb3:  {name: "CKR_SESSION_HANDLE_INVALID", cause: "the session is gone; the token was taken out or another program closed it", lost: true},
	0xb5:  {name: "CKR_SESSION_READ_ONLY", cause: "the token lets nothing be written"},
	0xd1:  {name: "CKR_TEMPLATE_INCONSISTENT", cause: "the token does not accept the attributes together"},
	0xe0:  {name: "CKR_TOKEN_NOT_PRESENT", cause: "the token is not in its slot", lost: true},
	0xe1:  {name: "CKR_TOKEN_NOT_RECOGNIZED", cause: "there is no token of this kind in the slot; see that it sits well", lost: true},
	0xe2:  {name: "CKR_TOKEN_WRITE_PROTECTED", cause: "the token is write-protected"},
	0x100: {name: "CKR_USER_ALREADY_LOGGED_IN", cause: "somebody is logged in already"},
	0x101: {name: "CKR_USER_NOT_LOGGED_IN", cause: "the login was lost; the token was reset or another program logged out", lost: true},
	0x102: {name: "CKR_USER_PIN_NOT_INITIALIZED", cause: "the token has no user PIN yet; initialise it", refused: true},
	0x103: {name: "CKR_USER_TYPE_INVALID", cause: "the token has no such user", refused: true},
	0x190: {name: "CKR_CRYPTOKI_NOT_INITIALIZED", cause: "the library was shut down under us, as after a fork", lost: true},
	0x191: {name: "CKR_CRYPTOKI_ALREADY_INITIALIZED", cause: "something else in this process uses the library"},
}
