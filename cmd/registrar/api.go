package main

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/registrar"
	"github.com/vouchmill/vouchmill/engine/state"
)

// Paths of the admin API. Devices are named by ?device=, since their names hold
// slashes.
const (
	apiManufacturers = "/manufacturers"
	apiDevices       = "/devices"
	apiDevice        = "/device"
	apiImport        = "/devices/import"
	apiApprove       = "/device/approve"
	apiRefuse        = "/device/refuse"
	apiExplain       = "/device/explain"
	apiRevoke        = "/certificates/revoke"
	apiCRL           = "/certificates/crl"
	apiStatus        = "/status"
)

// newAPI is the admin API of a registrar. counted is what the server has counted,
// nil in a command.
func newAPI(s *registrar.Service, counted func() *Counted) http.Handler {
	a := api{s, counted}
	mux := http.NewServeMux()
	mux.Handle("GET "+apiManufacturers, admin.Handle(a.manufacturers))
	mux.Handle("POST "+apiManufacturers, admin.Handle(a.addManufacturer))
	mux.Handle("GET "+apiDevices, admin.Handle(a.devices))
	mux.Handle("POST "+apiImport, devicelist.Handler(list.Options{}, a.importDevices))
	mux.Handle("GET "+apiDevice, admin.Handle(a.device))
	mux.Handle("POST "+apiApprove, admin.Handle(a.decide(s.Approve)))
	mux.Handle("POST "+apiRefuse, admin.Handle(a.decide(s.Refuse)))
	mux.Handle("GET "+apiExplain, admin.Handle(a.explain))
	mux.Handle("POST "+apiRevoke, admin.Handle(a.revoke))
	mux.Handle("GET "+apiCRL, admin.Handle(a.crl))
	mux.Handle("GET "+apiStatus, admin.Handle(a.status))
	return mux
}

type api struct {
	s       *registrar.Service
	counted func() *Counted
}

// refused gives errors that are the caller's their status.
func refused(err error) error {
	var missing *device.NotFoundError
	var ambiguous *device.AmbiguousError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing), errors.Is(err, registrar.ErrNoCertificate), errors.Is(err, registrar.ErrNoManufacturer):
		return admin.Errorf(http.StatusNotFound, "%v", err)
	case errors.As(err, &ambiguous):
		return admin.Errorf(http.StatusConflict, "%v", err)
	case errors.Is(err, state.ErrFull):
		return admin.Errorf(http.StatusInsufficientStorage, "%v", err)
	}
	return err
}

// A maker is a manufacturer as it travels and is printed. Certificates are DER.
type maker struct {
	Name           string   `json:"name"`
	IDevIDCA       [][]byte `json:"idevid-ca"`
	Intermediates  [][]byte `json:"intermediates,omitempty"`
	MASAURL        string   `json:"masa-url,omitempty"`
	MASATrust      [][]byte `json:"masa-trust,omitempty"`
	VoucherTrust   [][]byte `json:"voucher-trust,omitempty"`
	AuditKeys      []string `json:"audit-keys,omitempty"`
	SerialFrom     string   `json:"serial-from"`
	IDevIDLifetime string   `json:"idevid-lifetime"`
}

// Values of idevid-lifetime.
const (
	lifetimeCheck  = "check"
	lifetimeIgnore = "ignore"
)

func makerOf(m *registrar.Manufacturer) maker {
	out := maker{Name: m.Name, IDevIDCA: ders(m.Anchors), Intermediates: ders(m.Intermediates), MASAURL: m.MASAURL, MASATrust: ders(m.MASATrust),
		VoucherTrust: ders(m.VoucherTrust), SerialFrom: m.SerialFrom.String(), IDevIDLifetime: lifetimeCheck, AuditKeys: m.AuditKeys}
	if m.IgnoreLifetime {
		out.IDevIDLifetime = lifetimeIgnore
	}
	return out
}

// manufacturer is the inverse of makerOf.
func (m *maker) manufacturer() (*registrar.Manufacturer, error) {
	out := &registrar.Manufacturer{Name: m.Name, MASAURL: m.MASAURL, AuditKeys: m.AuditKeys}
	var err error
	if out.SerialFrom, err = codec.ParseSerialSource(m.SerialFrom); err != nil {
		return nil, err
	}
	switch m.IDevIDLifetime {
	case lifetimeCheck:
	case lifetimeIgnore:
		out.IgnoreLifetime = true
	default:
		return nil, admin.Errorf(http.StatusBadRequest, "idevid-lifetime %.40q is neither check nor ignore", m.IDevIDLifetime)
	}
	for _, part := range []struct {
		to   *[]*x509.Certificate
		from [][]byte
	}{{&out.Anchors, m.IDevIDCA}, {&out.Intermediates, m.Intermediates}, {&out.MASATrust, m.MASATrust}, {&out.VoucherTrust, m.VoucherTrust}} {
		for _, der := range part.from {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, err
			}
			*part.to = append(*part.to, c)
		}
	}
	return out, nil
}

func ders(certs []*x509.Certificate) (list [][]byte) {
	for _, c := range certs {
		list = append(list, c.Raw)
	}
	return list
}

// addManufacturer adds it, unless something is wrong with it.
func addManufacturer(s *registrar.Service, m registrar.Manufacturer) error {
	return s.AddManufacturer(context.Background(), m)
}

func (a api) addManufacturer(r *http.Request) (any, error) {
	var in maker
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	m, err := in.manufacturer()
	if err == nil {
		err = addManufacturer(a.s, *m)
	}
	if err != nil {
		var known *admin.Error
		if errors.As(err, &known) || errors.Is(err, state.ErrFull) || errors.Is(err, state.ErrClosed) {
			return nil, refused(err)
		}
		return nil, admin.Errorf(http.StatusBadRequest, "%v", err)
	}
	return in, nil
}

func (a api) manufacturers(r *http.Request) (any, error) {
	p, err := admin.PageOf(r)
	if err != nil {
		return nil, err
	}
	var page []maker
	for _, m := range a.s.ListManufacturers() {
		if m.Name > p.After && len(page) <= p.Limit {
			page = append(page, makerOf(&m))
		}
	}
	return admin.NewListing(page, p, func(m maker) string { return m.Name }), nil
}

func (a api) devices(r *http.Request) (any, error) {
	p, err := admin.PageOf(r)
	if err != nil {
		return nil, err
	}
	page, next, err := a.s.ListDevices(r.Context(), p.After, p.Limit)
	if err != nil {
		return nil, refused(err)
	}
	if page == nil {
		page = []registrar.DeviceInfo{}
	}
	return admin.Listing[registrar.DeviceInfo]{Items: page, Next: next}, nil
}

func (a api) device(r *http.Request) (any, error) {
	d, err := a.s.ShowDevice(r.Context(), r.URL.Query().Get("device"))
	return d, refused(err)
}

// named is a request about one device.
type named struct {
	Device string `json:"device"`
}

func (a api) decide(do func(context.Context, string) (*registrar.DeviceInfo, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in named
		if err := admin.Decode(r, &in); err != nil {
			return nil, err
		}
		d, err := do(r.Context(), in.Device)
		return d, refused(err)
	}
}

func (a api) explain(r *http.Request) (any, error) {
	name := r.URL.Query().Get("device")
	x, err := a.s.Explain(r.Context(), name)
	if missing := (*device.NotFoundError)(nil); errors.As(err, &missing) {
		// One that is listed by its serial number alone has not come yet.
		if d, also := a.s.ShowDevice(r.Context(), name); also == nil {
			return &registrar.Explanation{Device: d, Attempts: []registrar.Attempt{}}, nil
		}
	}
	return x, refused(err)
}

// revocation asks for one.
type revocation struct {
	Serial string `json:"serial"` // hexadecimal
	Reason string `json:"reason"`
}

// reasons are those a device's certificate is revoked for (RFC 5280 §5.3.1), by
// their names there.
var reasons = map[string]ca.Reason{
	"unspecified": ca.Unspecified, "keyCompromise": ca.KeyCompromise, "affiliationChanged": ca.AffiliationChanged,
	"superseded": ca.Superseded, "cessationOfOperation": ca.CessationOfOperation, "privilegeWithdrawn": ca.PrivilegeWithdrawn,
}

func reasonNames() string {
	var names []string
	for name := range reasons {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (a api) revoke(r *http.Request) (any, error) {
	var in revocation
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	serial, ok := new(big.Int).SetString(strings.ReplaceAll(in.Serial, ":", ""), 16)
	if !ok || len(in.Serial) > 128 {
		return nil, admin.Errorf(http.StatusBadRequest, "%.80q is no serial number of a certificate in hexadecimal", in.Serial)
	}
	reason, ok := reasons[in.Reason]
	if !ok {
		return nil, admin.Errorf(http.StatusBadRequest, "%.40q is no reason; want one of %s", in.Reason, reasonNames())
	}
	return in, refused(a.s.Revoke(r.Context(), serial, reason))
}

// revocationList is a CRL as it travels.
type revocationList struct {
	DER []byte `json:"der"`
}

func (a api) crl(r *http.Request) (any, error) {
	der, err := a.s.RevocationList(r.Context(), time.Now())
	if err != nil {
		return nil, refused(err)
	}
	return revocationList{der}, nil
}
