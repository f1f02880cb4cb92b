package pledge

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/sign"
)

// State is state.json: what a device remembers of joining. There is none in
// factory state.
type State struct {
	Version int `json:"version"` // 1
	// SerialNumber is the device's.
	SerialNumber string `json:"serial-number"`
	// Registrar is the origin it enrolled at, and Label the EST label, "" for none.
	Registrar string `json:"registrar"`
	Label     string `json:"label,omitempty"`
	// Format is that of the voucher: cms or jws.
	Format string `json:"format"`
	// Assertion is that of the voucher, and Pinned the SHA-256 of the
	// SubjectPublicKeyInfo it pins, in hexadecimal.
	Assertion string `json:"assertion"`
	Pinned    string `json:"pinned-spki-sha256"`
	// JoinedOn and RenewedOn are absent where the device has no trusted clock.
	JoinedOn  *time.Time `json:"joined-on,omitempty"`
	RenewedOn *time.Time `json:"renewed-on,omitempty"`
	// Files holds the SHA-256 of each file that belongs to this state, in hexadecimal.
	Files map[string]string `json:"files"`
}

// maxState bounds state.json in octets.
const maxState = 64 << 10

func (s *State) marshal() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

func parseState(text []byte) (*State, error) {
	s := &State{}
	if len(text) > maxState {
		return nil, decision.Refuse(InconsistentStorage, "%s has %d octets, the limit is %d; reset the device", FileState, len(text), maxState)
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, decision.Refuse(InconsistentStorage, "%s: %w; reset the device", FileState, err)
	}
	if s.Version != 1 {
		return nil, decision.Refuse(InconsistentStorage, "%s has version %d, this program knows version 1", FileState, s.Version)
	}
	for name, sum := range s.Files {
		if octets, err := hex.DecodeString(sum); err != nil || len(octets) != 32 || !slices.Contains(fileNames(), name) {
			return nil, decision.Refuse(InconsistentStorage, "%s names a file %q with digest %q; reset the device", FileState, name, sum)
		}
	}
	return s, nil
}

// Joined is a device that belongs to a domain.
type Joined struct {
	State
	// Already is true where Join found the device joined and did nothing.
	Already bool
	// Voucher is the voucher as it came.
	Voucher []byte
	// LDevID is the certificate of the domain, what is needed to chain it to
	// CACerts, and its key.
	LDevID Identity
	// CACerts are the CA certificates of the domain: explicit trust anchors (RFC
	// 7030 §4.1.3) and what lies between them and the certificates they vouch for.
	CACerts []*x509.Certificate
	// Attempt is the one that succeeded, nil after Load.
	Attempt *Attempt
}

// open reads the files of a state that recover has settled.
func (v vault) open(s *State) (*Joined, error) {
	j := &Joined{State: *s}
	files := map[string][]byte{}
	for name := range s.Files {
		content, err := v.get(name)
		if err != nil {
			return nil, &StorageError{"read", name, err}
		}
		files[name] = content
		if strings.HasPrefix(name, "voucher.") {
			j.Voucher = content
		}
	}
	var err error
	if j.LDevID.Chain, err = sign.LoadChain(files[FileCert]); err != nil {
		return nil, unreadable(FileCert, err)
	}
	if j.LDevID.Key, err = sign.LoadKey(files[FileKey], nil); err != nil {
		return nil, unreadable(FileKey, err)
	}
	if err := sign.MatchCertificate(j.LDevID.Key, j.LDevID.Chain[0]); err != nil {
		return nil, unreadable(FileKey, err)
	}
	if j.CACerts, err = sign.LoadCertificates(files[FileCACerts]); err != nil {
		return nil, unreadable(FileCACerts, err)
	}
	if j.Voucher == nil {
		return nil, unreadable("the voucher", fmt.Errorf("%s names none", FileState))
	}
	return j, nil
}

func unreadable(name string, err error) error {
	return decision.Refuse(InconsistentStorage, "%s: %w; reset the device", name, err)
}

func voucherFile(format codec.Format) string {
	return "voucher." + strings.TrimPrefix(format.Extension(), ".")
}
