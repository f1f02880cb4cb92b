package profile

import (
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/list"
)

// Setting is one value that may be unset.
type Setting[T any] struct {
	value T
	set   bool
	line  int
}

// IsSet reports whether the profile or a flag set it.
func (s Setting[T]) IsSet() bool { return s.set }

// Or returns the value, or def where it is unset.
func (s Setting[T]) Or(def T) T {
	if s.set {
		return s.value
	}
	return def
}

// Line is the line of the profile that set it, 0 where it came from elsewhere.
func (s Setting[T]) Line() int { return s.line }

// Put sets the value.
func (s *Setting[T]) Put(value T) { *s = Setting[T]{value: value, set: true} }

// Pin is what vouchers pin: a certificate file, by the name that the device
// list's pinned-domain-cert column calls it.
type Pin struct {
	// Name is "" for the one pin of a run whose list has no such column.
	Name string
	File string
}

// PinAs is how a certificate is pinned.
type PinAs uint8

// The three leaves of which a voucher has one.
const (
	PinCert       PinAs = iota // pinned-domain-cert
	PinPubk                    // pinned-domain-pubk
	PinPubkSHA256              // pinned-domain-pubk-sha256
)

// String returns what the key pin-as takes.
func (p PinAs) String() string { return pinAsNames[min(int(p), len(pinAsNames)-1)] }

var pinAsNames = []string{"cert", "pubk", "pubk-sha256"}

// Settings are all settings of issuing a run. The zero value has none set. It
// is not for concurrent use while it is being changed.
type Settings struct {
	// The voucher's leaves.
	CreatedOn                  Setting[time.Time] // UTC, whole seconds
	ExpiresOn                  Setting[Expiry]
	LastRenewalDate            Setting[Expiry] // not Never
	Assertion                  Setting[codec.Assertion]
	Pins                       Setting[[]Pin]
	PinAs                      Setting[PinAs]
	IncludeIssuer              Setting[bool]
	IDevIDIssuer               Setting[[]byte] // as given; codec.NormalizeIssuer takes it
	DomainCertRevocationChecks Setting[bool]
	EstDomain                  Setting[string]
	AdditionalConfigurationURL Setting[string]
	Extensions                 Setting[[]codec.Extension]
	ManufacturerProprietary    Setting[[]byte]

	// The envelope and the key.
	Format      Setting[codec.Format]
	EContent    Setting[string] // "anima" or "data"
	SigningTime Setting[string] // "none" or "created-on"
	Key         Setting[string]
	KeyPassFile Setting[string]
	Cert        Setting[string]
	Hedged      Setting[bool]
	SelfCheck   Setting[string] // "some" or "all"

	// The list.
	Devices      Setting[string]
	ListFormat   Setting[list.Format]
	Delimiter    Setting[byte]
	SerialFrom   Setting[string] // "subject", "hw-module-name" or "cn"
	SerialBytes  Setting[int]
	RowBytes     Setting[int]
	MaxExpansion Setting[int]

	// The run.
	Store       Setting[string]
	Run         Setting[string]
	OnError     Setting[string] // "stop" or "skip"
	Rejects     Setting[string]
	Delta       Setting[string]
	RenewBefore Setting[time.Duration]
	DryRun      Setting[bool]
	Workers     Setting[int]
	Progress    Setting[string] // "auto", "bar", "plain", "json" or "none"
	Stats       Setting[bool]
	JSON        Setting[bool]
}

// Set sets one setting from text, as a flag gives it, over whatever it was. A
// pin is [NAME=]FILE; several values of pin and extensions are separated by
// commas. The error is an [*Error] without a place: it is for the caller to name
// the setting, as the flag it was or otherwise.
func (s *Settings) Set(name, text string) error {
	k := keyByName(name)
	if k == nil {
		return unknownKey(name)
	}
	if err := k.text(s, text); err != nil {
		e := valueError(k, err)
		e.Key = ""
		return e
	}
	return nil
}

// SetPins sets the pins from [NAME=]FILE values, one each, as repeated flags give
// them; unlike in [Settings.Set] a file name may have a comma. The error is an
// [*Error].
func (s *Settings) SetPins(values []string) error {
	entries := make([]entry, len(values))
	for i, v := range values {
		entries[i].value = v
	}
	k := keyByName("pin")
	if err := k.list(s, entries); err != nil {
		e := valueError(k, err)
		e.Key = ""
		return e
	}
	return nil
}

// Override lays every setting that over has set over those of s.
func (s *Settings) Override(over *Settings) {
	for i := range keys {
		keys[i].copy(s, over)
	}
}

// Check holds what single values cannot tell: settings that exclude or need
// each other. Call it when all are laid over each other; Parse does not.
func (s *Settings) Check() error {
	contradiction := func(line int, key, detail, remedy string) error {
		return &Error{Line: line, Key: key, Kind: ErrValue, Detail: detail, Remedy: remedy}
	}
	never := s.ExpiresOn.Or(Expiry{Never: true}).Never
	switch {
	case s.LastRenewalDate.IsSet() && never:
		return contradiction(s.LastRenewalDate.line, "last-renewal-date", "a voucher without expires-on has none (RFC 8366 §5.3)", "set expires-on too")
	case s.SigningTime.Or("none") != "none" && s.Format.Or(codec.FormatCMS) != codec.FormatCMS:
		return contradiction(s.SigningTime.line, "signing-time", "only CMS has it", "remove it, or set format: cms")
	case s.EContent.Or("anima") != "anima" && s.Format.Or(codec.FormatCMS) != codec.FormatCMS:
		return contradiction(s.EContent.line, "econtent", "only CMS has it", "remove it, or set format: cms")
	case s.IDevIDIssuer.IsSet() && s.IncludeIssuer.IsSet() && !s.IncludeIssuer.value:
		return contradiction(s.IDevIDIssuer.line, "idevid-issuer", "include-issuer is false", "remove one of the two")
	}
	return nil
}
