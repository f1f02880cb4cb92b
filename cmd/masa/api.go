package main

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
	"github.com/vouchmill/vouchmill/cmd/internal/devicelist"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/profile"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/engine/store"
	"github.com/vouchmill/vouchmill/sign"
)

// An api is what the commands ask for, of a server or in-process.
type api struct {
	service    *masa.Service
	serialFrom codec.SerialSource
	status     func() any // what the server counts; nil in a command
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		mux.Handle(pattern, admin.Handle(func(r *http.Request) (any, error) {
			result, err := f(r)
			return result, apiError(err)
		}))
	}
	lists := func(pattern string, f func(*http.Request, *devicelist.Import) (any, error)) {
		mux.Handle(pattern, devicelist.Handler(list.Options{SerialFrom: a.serialFrom}, func(r *http.Request, im *devicelist.Import) (any, error) {
			result, err := f(r, im)
			return result, apiError(err)
		}))
	}
	handle("GET /status", a.getStatus)
	lists("POST /devices/import", a.importDevices)
	lists("POST /devices/own", a.own)
	handle("GET /devices", a.listDevices)
	handle("GET /device", a.showDevice)
	handle("POST /devices/block", a.blockDevice)
	handle("POST /devices/unblock", a.unblockDevice)
	handle("POST /devices/set", a.setDevice)
	handle("POST /devices/release", a.releaseDevice)
	handle("GET /pools", a.listPools)
	handle("POST /pools", a.setPool)
	handle("GET /customers", a.listCustomers)
	handle("POST /customers", a.addCustomer)
	handle("POST /customers/block", a.blockCustomer)
	handle("POST /customers/unblock", a.unblockCustomer)
	handle("GET /log", a.logHead)
	handle("GET /log/consistency", a.logConsistency)
	handle("GET /vouchers", a.listRuns)
	mux.Handle("POST /vouchers/import", admin.Streaming(func(r *http.Request, s *admin.Stream) (any, error) {
		result, err := a.importRun(r, s)
		return result, apiError(err)
	}))
	return mux
}

// apiError gives the engine's errors their statuses. Their texts say what to do.
func apiError(err error) error {
	var known *admin.Error
	var usage *masa.UsageError
	var missing *masa.NotFoundError
	var exists *masa.ExistsError
	var refused *masa.RunRefusedError
	var noDevice *device.NotFoundError
	var several *device.AmbiguousError
	var noRun *store.RunNotFoundError
	var unfit *store.RunStateError
	var row *list.RowError
	var whole *list.ListError
	status := http.StatusInternalServerError
	switch {
	case err == nil || errors.As(err, &known), errors.As(err, &row), errors.As(err, &whole):
		return err
	case errors.As(err, &usage):
		status = http.StatusBadRequest
	case errors.As(err, &missing), errors.As(err, &noDevice), errors.As(err, &noRun):
		status = http.StatusNotFound
	case errors.As(err, &exists), errors.As(err, &several), errors.As(err, &refused), errors.As(err, &unfit):
		status = http.StatusConflict
	case errors.Is(err, state.ErrFull):
		status = http.StatusInsufficientStorage
	}
	return admin.Errorf(status, "%v", err)
}

func (a *api) getStatus(*http.Request) (any, error) {
	if a.status == nil {
		return nil, admin.Errorf(http.StatusNotFound, "no server is running").With("start one with masa serve")
	}
	return a.status(), nil
}

// done is the answer of what has nothing to say but the device's full name.
type done struct {
	Device string `json:"device,omitempty"`
}

func deviceDone(id device.ID, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return done{id.String()}, nil
}

func (a *api) importDevices(r *http.Request, im *devicelist.Import) (any, error) {
	formats, err := voucherFormats(im.Query["voucher-format"])
	if err != nil {
		return nil, err
	}
	return a.service.ImportDevices(r.Context(), im.Devices, masa.ImportOptions{Now: time.Now(), Reject: im.Reject, Progress: im.Progress, Formats: formats,
		Pool: im.Query.Get("pool"), Owner: im.Query.Get("owner"), Exclusive: im.Query.Get("exclusive") == "true", LoggedOnMismatch: im.Query.Get("logged-on-mismatch") == "true"})
}

// voucherFormats reads the formats of vouchers that devices read: nil for no word
// about it, none for all.
func voucherFormats(names []string) ([]codec.Format, error) {
	if len(names) == 0 {
		return nil, nil
	}
	formats := []codec.Format{}
	for _, name := range names {
		f, err := codec.ParseFormat(name)
		switch {
		case name == "all" && len(names) == 1:
		case err != nil || f != codec.FormatCMS && f != codec.FormatJWS:
			return nil, admin.Errorf(http.StatusBadRequest, "voucher-format %.40q is neither cms nor jws, nor all alone", name)
		default:
			formats = append(formats, f)
		}
	}
	return formats, nil
}

func (a *api) own(r *http.Request, im *devicelist.Import) (any, error) {
	return a.service.Own(r.Context(), im.Query.Get("customer"), im.Devices, masa.ImportOptions{Now: time.Now(), Reject: im.Reject, Progress: im.Progress})
}

// deviceJSON is a device as it is shown: stable.
type deviceJSON struct {
	Device           string        `json:"device"` // ISSUER/SERIAL, its full name
	Serial           string        `json:"serial-number"`
	Issuer           []byte        `json:"idevid-issuer,omitempty"`
	Verified         bool          `json:"verified"`
	Imported         time.Time     `json:"imported"`
	Owner            string        `json:"owner,omitempty"`
	Pool             string        `json:"pool,omitempty"`
	Exclusive        bool          `json:"exclusive,omitempty"`
	LoggedOnMismatch bool          `json:"logged-on-mismatch,omitempty"`
	Formats          []string      `json:"voucher-formats,omitempty"` // it reads, absent for all
	Claimed          bool          `json:"claimed,omitempty"`
	Blocked          bool          `json:"blocked,omitempty"`
	BlockReason      string        `json:"block-reason,omitempty"`
	Issued           uint64        `json:"vouchers"`
	LastIssued       *time.Time    `json:"last-voucher,omitempty"`
	Refused          uint64        `json:"refused"`
	Refusals         []refusedJSON `json:"refusals,omitempty"`
	History          []ownedJSON   `json:"history,omitempty"`
}

type refusedJSON struct {
	At       time.Time     `json:"at"`
	Op       string        `json:"operation"`
	Kind     decision.Kind `json:"kind"`
	Operator string        `json:"reason"`
	Customer string        `json:"customer,omitempty"`
}

type ownedJSON struct {
	Customer string    `json:"customer"`
	Since    time.Time `json:"since"`
}

func toDeviceJSON(d *masa.Device) deviceJSON {
	j := deviceJSON{Device: d.ID.String(), Serial: d.ID.Serial, Issuer: d.Issuer, Verified: d.Verified, Imported: d.Imported, Owner: d.Owner, Pool: d.Pool,
		Exclusive: d.Exclusive, LoggedOnMismatch: d.LoggedOnMismatch, Claimed: d.Claim != nil, Blocked: d.Blocked, BlockReason: d.BlockReason, Issued: d.Issued, Refused: d.Refused}
	if !d.LastIssued.IsZero() {
		j.LastIssued = &d.LastIssued
	}
	for _, f := range d.Formats {
		j.Formats = append(j.Formats, f.String())
	}
	for _, r := range d.Refusals {
		j.Refusals = append(j.Refusals, refusedJSON(r))
	}
	for _, o := range d.History {
		j.History = append(j.History, ownedJSON(o))
	}
	return j
}

func (a *api) listDevices(r *http.Request) (any, error) {
	p, err := admin.PageOf(r)
	if err != nil {
		return nil, err
	}
	after, err := parseDevice(p.After)
	if err != nil {
		return nil, err
	}
	devices, err := a.service.ListDevices(r.Context(), after, p.Limit+1)
	if err != nil {
		return nil, err
	}
	items := make([]deviceJSON, len(devices))
	for i := range devices {
		items[i] = toDeviceJSON(&devices[i])
	}
	return admin.NewListing(items, p, func(d deviceJSON) string { return d.Device }), nil
}

// parseDevice reads the full name of a device; "" is none.
func parseDevice(text string) (device.ID, error) {
	if text == "" {
		return device.ID{}, nil
	}
	issuer, serial, ok := strings.Cut(text, "/")
	octets, err := hex.DecodeString(issuer)
	if !ok || err != nil {
		return device.ID{}, admin.Errorf(http.StatusBadRequest, "%.200q is not the full name of a device, ISSUER/SERIAL", text)
	}
	return device.ID{IssuerKeyID: string(octets), Serial: serial}, nil
}

func (a *api) showDevice(r *http.Request) (any, error) {
	d, err := a.service.ShowDevice(r.Context(), r.URL.Query().Get("name"))
	if err != nil {
		return nil, err
	}
	return toDeviceJSON(d), nil
}

// blockJSON names a device or customer and says why.
type blockJSON struct {
	Name   string `json:"name"`
	Reason string `json:"reason,omitempty"`
}

func (a *api) blockDevice(r *http.Request) (any, error) {
	var in blockJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return deviceDone(a.service.Block(r.Context(), in.Name, in.Reason))
}

func (a *api) unblockDevice(r *http.Request) (any, error) {
	var in blockJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return deviceDone(a.service.Unblock(r.Context(), in.Name))
}

// policyJSON is what holds for a device by itself.
type policyJSON struct {
	Name             string `json:"name"`
	Exclusive        bool   `json:"exclusive"`
	LoggedOnMismatch bool   `json:"logged-on-mismatch"`
}

func (a *api) setDevice(r *http.Request) (any, error) {
	var in policyJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return deviceDone(a.service.SetDevice(r.Context(), in.Name, in.Exclusive, in.LoggedOnMismatch))
}

func (a *api) releaseDevice(r *http.Request) (any, error) {
	var in blockJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return deviceDone(a.service.Release(r.Context(), in.Name))
}

// poolJSON is a pool.
type poolJSON struct {
	Name             string `json:"name"`
	Exclusive        bool   `json:"exclusive"`
	Owner            string `json:"owner,omitempty"`
	LoggedOnMismatch bool   `json:"logged-on-mismatch"`
}

func (a *api) listPools(r *http.Request) (any, error) {
	p, err := admin.PageOf(r)
	if err != nil {
		return nil, err
	}
	pools, err := a.service.ListPools(r.Context(), p.After, p.Limit+1)
	if err != nil {
		return nil, err
	}
	items := make([]poolJSON, len(pools))
	for i, p := range pools {
		items[i] = poolJSON(p)
	}
	return admin.NewListing(items, p, func(p poolJSON) string { return p.Name }), nil
}

func (a *api) setPool(r *http.Request) (any, error) {
	var in poolJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return done{}, a.service.SetPool(r.Context(), masa.Pool(in))
}

// customerJSON is a customer; certificates are PEM.
type customerJSON struct {
	Name        string     `json:"name"`
	Anchors     string     `json:"ca"`
	ClientCerts string     `json:"client-cert,omitempty"`
	Nonceless   bool       `json:"nonceless"`
	MaxLifetime string     `json:"max-lifetime,omitempty"`
	Blocked     bool       `json:"blocked,omitempty"`
	BlockReason string     `json:"block-reason,omitempty"`
	Created     *time.Time `json:"created,omitempty"`
}

func (a *api) listCustomers(r *http.Request) (any, error) {
	p, err := admin.PageOf(r)
	if err != nil {
		return nil, err
	}
	customers, err := a.service.ListCustomers(r.Context(), p.After, p.Limit+1)
	if err != nil {
		return nil, err
	}
	items := make([]customerJSON, len(customers))
	for i, c := range customers {
		items[i] = customerJSON{Name: c.Name, Anchors: string(ca.ChainPEM(c.Anchors...)), ClientCerts: string(ca.ChainPEM(c.ClientCerts...)), Nonceless: c.Nonceless,
			Blocked: c.Blocked, BlockReason: c.BlockReason, Created: &customers[i].Created}
		if c.MaxLifetime > 0 {
			items[i].MaxLifetime = showDuration(c.MaxLifetime)
		}
	}
	return admin.NewListing(items, p, func(c customerJSON) string { return c.Name }), nil
}

func (a *api) addCustomer(r *http.Request) (any, error) {
	var in customerJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	c := masa.Customer{Name: in.Name, Nonceless: in.Nonceless}
	var err error
	if c.Anchors, err = certificates("ca", in.Anchors); err != nil {
		return nil, err
	}
	if c.ClientCerts, err = certificates("client-cert", in.ClientCerts); err != nil {
		return nil, err
	}
	if in.MaxLifetime != "" {
		if c.MaxLifetime, err = profile.ParseDuration(in.MaxLifetime); err != nil {
			return nil, admin.Errorf(http.StatusBadRequest, "max-lifetime: %v", err)
		}
	}
	return done{}, a.service.AddCustomer(r.Context(), c, time.Now())
}

func certificates(name, pem string) ([]*x509.Certificate, error) {
	if pem == "" {
		return nil, nil
	}
	certs, err := sign.LoadCertificates([]byte(pem))
	if err != nil {
		return nil, admin.Errorf(http.StatusBadRequest, "%s: %v", name, err)
	}
	return certs, nil
}

func (a *api) blockCustomer(r *http.Request) (any, error) {
	var in blockJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return done{}, a.service.BlockCustomer(r.Context(), in.Name, in.Reason)
}

func (a *api) unblockCustomer(r *http.Request) (any, error) {
	var in blockJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	return done{}, a.service.UnblockCustomer(r.Context(), in.Name)
}

// runJSON is an imported run: stable.
type runJSON struct {
	Name      string     `json:"run"`
	Manifest  string     `json:"manifest"` // hexadecimal
	Format    string     `json:"format"`
	Vouchers  uint64     `json:"vouchers"`
	CreatedOn *time.Time `json:"created-on,omitempty"`
	ExpiresOn *time.Time `json:"expires-on,omitempty"` // absent where one never expires
	Imported  time.Time  `json:"imported"`
	Event     uint64     `json:"event"` // of the audit log
}

func toRunJSON(r *masa.Run) runJSON {
	j := runJSON{Name: r.Name, Manifest: hex.EncodeToString(r.Manifest[:]), Format: r.Format.String(), Vouchers: r.Vouchers, Imported: r.Imported, Event: r.Event}
	if !r.CreatedOn.IsZero() {
		j.CreatedOn = &r.CreatedOn
	}
	if !r.ExpiresOn.IsZero() {
		j.ExpiresOn = &r.ExpiresOn
	}
	return j
}

func (a *api) listRuns(r *http.Request) (any, error) {
	p, err := admin.PageOf(r)
	if err != nil {
		return nil, err
	}
	runs, err := a.service.ListRuns(r.Context(), p.After, p.Limit+1)
	if err != nil {
		return nil, err
	}
	items := make([]runJSON, len(runs))
	for i := range runs {
		items[i] = toRunJSON(&runs[i])
	}
	return admin.NewListing(items, p, func(r runJSON) string { return r.Name }), nil
}

// importRunJSON names a run in a store.
type importRunJSON struct {
	Store string `json:"store"`
	Run   string `json:"run"`
}

func (a *api) importRun(r *http.Request, s *admin.Stream) (_ any, err error) {
	var in importRunJSON
	if err := admin.Decode(r, &in); err != nil {
		return nil, err
	}
	source, err := store.Open(in.Store, store.Options{ReadOnly: true})
	if err != nil {
		return nil, admin.Errorf(http.StatusUnprocessableEntity, "%v", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	shown, err := progress.Start(progress.Options{Job: "import", Unit: "vouchers", Verb: "verified", Mode: progress.JSON, Out: progressLines{s}})
	if err != nil {
		return nil, err
	}
	run, err := a.service.ImportRun(r.Context(), source, in.Run, masa.RunOptions{Now: time.Now(), Progress: shown})
	if stopErr := shown.Stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return nil, err
	}
	return toRunJSON(run), nil
}

// progressLines sends the JSON that a progress reporter writes.
type progressLines struct{ s *admin.Stream }

var _ io.Writer = progressLines{}

// Write sends one object.
func (p progressLines) Write(line []byte) (int, error) {
	return len(line), p.s.Send("progress", json.RawMessage(bytes.TrimSpace(line)))
}
