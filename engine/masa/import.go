package masa

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1" // RFC 5280 §4.2.1.2 method 1 names a key, it protects nothing
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/progress"
	"github.com/vouchmill/vouchmill/engine/state"
)

// ImportOptions say what is done with the rows of a list.
type ImportOptions struct {
	// Now is when the devices are imported, and the time IDevIDs must be valid
	// at unless their manufacturer says otherwise.
	Now time.Time
	// Manufacturer, where not "", is the Name of the one of Config.Manufacturers
	// that made the devices. It matters where there are several: no device of
	// another is then taken for one of them. Rows that state an issuer and no
	// manufacturer are for who has the key that the issuer's key identifier is a
	// digest of.
	Manufacturer string
	// Pool, where not "", is the pool all devices go into; SetPool makes it.
	Pool string
	// Owner, where not "", is the customer that owns them.
	Owner string
	// Exclusive and LoggedOnMismatch, where true, are set for each of them.
	Exclusive, LoggedOnMismatch bool
	// Formats, where not nil, are those of vouchers that the devices can read;
	// none for all. A request for a voucher in another is refused.
	Formats []codec.Format
	// Reject is told each row that cannot be used, in the order of the list; its
	// error ends the import. Without it the first such row does.
	Reject func(*list.RowError) error
	// Workers is the number of goroutines that check certificates, zero for one
	// a processor.
	Workers int
	// Progress, when not nil, is kept up to date.
	Progress *progress.Reporter
}

// An Imported says what became of a list. Its JSON names are stable.
type Imported struct {
	Rows      uint64 `json:"rows"`      // read, the rejected among them
	New       uint64 `json:"new"`       // not on record before
	Changed   uint64 `json:"changed"`   // on record, and changed as the options said
	Unchanged uint64 `json:"unchanged"` // on record as they are to be
	Rejected  uint64 `json:"rejected"`
}

// ImportDevices puts the devices of a list on record. A certificate must lead to
// a manufacturer; a row of a list without certificates is believed, and needs
// its idevid-issuer. Certificates of CAs behind a device's complete its chain
// and are no devices.
//
// Devices are written some thousand at a time, each batch durable as a whole.
// Importing a list again adds nothing, so an import that was interrupted is
// repeated. It may run while requests are served.
func (s *Service) ImportDevices(ctx context.Context, devices *list.Reader, opts ImportOptions) (*Imported, error) {
	apply := func(tx state.Tx, row *importRow, done *Imported) error { return s.writeRow(tx, row, &opts, done) }
	begin := func(r state.Reader) error {
		return errors.Join(s.needManufacturer(opts.Manufacturer), needPool(r, opts.Pool), needCustomer(r, opts.Owner))
	}
	check := checkRows
	if hasCertificates(devices.Format()) {
		check = s.certificateChecker(opts)
	}
	return s.rows(ctx, devices, opts, begin, check, apply)
}

func (s *Service) needManufacturer(name string) error {
	if name != "" && !slices.ContainsFunc(s.cfg.Manufacturers, func(m device.Manufacturer) bool { return m.Name == name }) {
		return usage("no manufacturer is called %q; Config.Manufacturers names them", name)
	}
	return nil
}

// Own makes a customer the owner of the devices of a list, or nobody for "".
// Devices must be on record; a row that fits several must state the
// idevid-issuer. Of the options, Now, Reject and Workers count. New is 0 in the
// result.
func (s *Service) Own(ctx context.Context, customer string, devices *list.Reader, opts ImportOptions) (*Imported, error) {
	apply := func(tx state.Tx, row *importRow, done *Imported) error {
		id, record, err := locate(tx, row.serial, row.keyID)
		var missing *device.NotFoundError
		var several *device.AmbiguousError
		if errors.As(err, &missing) || errors.As(err, &several) {
			row.reject = row.rejected("serial-number", err, "import the device first, or state the idevid-issuer that is its own")
			return nil
		}
		if err != nil {
			return err
		}
		given, err := give(tx, id, record, customer, opts.Now)
		if err != nil || !given {
			done.Unchanged++
			return err
		}
		done.Changed++
		return s.setDevice(tx, id, record)
	}
	begin := func(r state.Reader) error { return needCustomer(r, customer) }
	check := func(_ int, rows []importRow) {
		for i := range rows {
			rows[i].readIssuer()
		}
	}
	return s.rows(ctx, devices, opts, begin, check, apply)
}

// An importRow is one row, or certificate, on its way. What it holds is its own.
type importRow struct {
	unit                       string
	file                       string
	line                       uint64
	raw, serial, issuer, keyID []byte
	authorities                []*x509.Certificate // that stood behind it
	id                         device.ID
	aliases                    [][]byte
	maker                      string // who vouches for the certificate
	verified                   bool
	reject                     *list.RowError
}

func (row *importRow) rejected(field string, err error, remedy string) *list.RowError {
	return &list.RowError{File: row.file, Unit: row.unit, Line: row.line, Field: field, Err: err, Remedy: remedy, Raw: row.raw}
}

// maxSerial bounds the serial numbers on record, in octets: they are keys.
const maxSerial = 512

// importBatch is how many rows a worker takes at a time.
const importBatch = 256

type rowBatch struct{ rows []importRow }

// An importer is one run over a list. Fill belongs to the filling goroutine, the
// rest to the sink.
type importer struct {
	s       *Service
	ctx     context.Context
	list    *list.Reader
	opts    *ImportOptions
	certs   bool
	unit    string
	ended   bool
	apply   func(state.Tx, *importRow, *Imported) error
	pending []importRow
	weight  int
	done    Imported
}

// rows reads a list, has workers check its rows, and applies them in order.
func (s *Service) rows(ctx context.Context, devices *list.Reader, opts ImportOptions, begin func(state.Reader) error,
	check func(worker int, rows []importRow), apply func(state.Tx, *importRow, *Imported) error) (*Imported, error) {
	if err := s.cfg.DB.View(ctx, begin); err != nil {
		return &Imported{}, err
	}
	im := &importer{s: s, ctx: ctx, list: devices, opts: &opts, unit: devices.Unit(), apply: apply, certs: hasCertificates(devices.Format())}
	err := engine.Run(ctx, engine.Config{Workers: opts.workers()}, func() *rowBatch { return &rowBatch{} }, engine.Stages[rowBatch]{
		Fill: func(_ context.Context, _ engine.Turn, b *rowBatch) (bool, error) { return im.fill(b) },
		Work: func(worker int, _ uint64, b *rowBatch) error {
			check(worker, b.rows)
			return nil
		},
		Sink: func(_ uint64, b *rowBatch) error { return im.sink(b) },
	})
	if err == nil {
		err = im.flush()
	}
	var stage *engine.StageError
	if errors.As(err, &stage) {
		err = stage.Err
	}
	return &im.done, err
}

func (im *importer) fill(b *rowBatch) (more bool, err error) {
	b.rows = b.rows[:0]
	var rec list.Record
	for len(b.rows) < importBatch && !im.ended {
		err := im.list.Read(&rec)
		var bad *list.RowError
		switch {
		case err == io.EOF:
			im.ended = true
		case errors.As(err, &bad):
			im.unreadable(b, bad)
		case err != nil:
			return false, err
		default:
			b.rows = append(b.rows, importRow{unit: im.unit, file: rec.File, line: rec.Line, raw: bytes.Clone(rec.Raw),
				serial: bytes.Clone(rec.Serial), issuer: bytes.Clone(rec.Issuer)})
		}
	}
	if len(b.rows) == 0 {
		return false, engine.ErrNoBatch
	}
	return !im.ended, nil
}

// unreadable takes in a row that the list could not make sense of. A CA's
// certificate belongs to the device before it.
func (im *importer) unreadable(b *rowBatch, bad *list.RowError) {
	if im.certs && errors.Is(bad, list.ErrCertificate) {
		if c, err := parseCertificate(bad.Raw); err == nil && c.IsCA {
			if n := len(b.rows); n > 0 && b.rows[n-1].file == bad.File && len(b.rows[n-1].authorities) < maxAnchors {
				b.rows[n-1].authorities = append(b.rows[n-1].authorities, c)
			}
			return
		}
	}
	kept := *bad
	kept.Raw = bytes.Clone(bad.Raw)
	b.rows = append(b.rows, importRow{unit: bad.Unit, file: bad.File, line: bad.Line, reject: &kept})
}

// parseCertificate reads a certificate as a list has it, PEM or DER.
func parseCertificate(raw []byte) (*x509.Certificate, error) {
	if block, _ := pem.Decode(raw); block != nil {
		raw = block.Bytes
	}
	return x509.ParseCertificate(raw)
}

// Bounds of one Update: keys, and octets, well below those of package state.
const (
	flushRows   = 1500
	flushOctets = 400 << 10
)

func (im *importer) sink(b *rowBatch) error {
	for i := range b.rows {
		row := b.rows[i]
		size := 5*(len(row.serial)+device.MaxIssuer+64) + 256
		if len(im.pending) == flushRows || im.weight+size > flushOctets {
			if err := im.flush(); err != nil {
				return err
			}
		}
		im.pending = append(im.pending, row)
		im.weight += size
	}
	return nil
}

// flush makes what is pending durable and tells what was rejected.
func (im *importer) flush() error {
	if len(im.pending) == 0 {
		return nil
	}
	var done Imported
	err := im.s.cfg.DB.Update(im.ctx, func(tx state.Tx) error {
		for i := range im.pending {
			if row := &im.pending[i]; row.reject == nil {
				if err := im.apply(tx, row, &done); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	im.done.New += done.New
	im.done.Changed += done.Changed
	im.done.Unchanged += done.Unchanged
	return im.settle()
}

// settle counts the rows that were flushed and tells who wants to know.
func (im *importer) settle() error {
	for i := range im.pending {
		im.done.Rows++
		bad := im.pending[i].reject
		if bad == nil {
			if im.opts.Progress != nil {
				im.opts.Progress.Issued.Add(1)
			}
			continue
		}
		im.done.Rejected++
		if im.opts.Progress != nil {
			im.opts.Progress.Rejected.Add(1)
		}
		if im.opts.Reject == nil {
			return bad
		}
		if err := im.opts.Reject(bad); err != nil {
			return err
		}
	}
	im.pending, im.weight = im.pending[:0], 0
	return nil
}

// readIssuer fills in the key identifier of a row that states an issuer.
func (row *importRow) readIssuer() {
	if row.reject != nil || row.issuer == nil {
		return
	}
	keyID, err := codec.IssuerKeyID(row.issuer)
	if err != nil {
		row.reject = row.rejected("idevid-issuer", err, "write the authority key identifier of the IDevID")
		return
	}
	row.keyID = keyID
}

// hasCertificates reports whether a list is one of certificates.
func hasCertificates(f list.Format) bool {
	return f == list.FormatPEM || f == list.FormatDER || f == list.FormatDir
}

// workers is the number of checking goroutines.
func (o *ImportOptions) workers() int {
	if o.Workers == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return o.Workers
}

// checkRows finds out which devices rows without certificates are about.
func checkRows(_ int, rows []importRow) {
	for i := range rows {
		row := &rows[i]
		row.readIssuer()
		switch {
		case row.reject != nil:
		case row.keyID == nil:
			row.reject = row.rejected("idevid-issuer", errors.New("it is missing"), "add the column: a serial number alone names no device for good")
		default:
			row.id = device.ID{IssuerKeyID: string(row.keyID), Serial: string(row.serial)}
			row.checkID()
		}
	}
}

func (row *importRow) checkID() {
	if err := row.id.Check(); err != nil {
		row.reject = row.rejected("", err, "correct the row")
	} else if len(row.id.Serial) > maxSerial {
		row.reject = row.rejected("serial-number", fmt.Errorf("it has %d octets, at most %d are kept", len(row.id.Serial), maxSerial), "correct the row")
	}
}

// certificateChecker finds out which devices certificates are of, and who
// vouches for them.
func (s *Service) certificateChecker(opts ImportOptions) func(worker int, rows []importRow) {
	batches := make([]*device.Batch, opts.workers())
	for i := range batches {
		batches[i] = device.NewBatch(s.cfg.Manufacturers, opts.Now, s.verifier)
	}
	return func(worker int, rows []importRow) {
		var chains [][]*x509.Certificate
		var of []*importRow
		for i := range rows {
			row := &rows[i]
			if row.reject != nil {
				continue
			}
			cert, err := parseCertificate(row.raw)
			if err != nil {
				row.reject = row.rejected("", err, "take it out of the list, or have it issued anew")
				continue
			}
			chains, of = append(chains, append([]*x509.Certificate{cert}, row.authorities...)), append(of, row)
		}
		identities, errs := batches[worker].Identify(chains)
		for i, row := range of {
			row.identified(identities[i], errs[i])
		}
	}
}

// identified notes what a certificate says of its device.
func (row *importRow) identified(identity *device.Identity, err error) {
	if err != nil {
		row.reject = row.rejected("", errors.New(decision.Of(err).Operator), "configure the CA that issued it, or take it out of the list")
		return
	}
	row.id, row.issuer, row.verified, row.maker = identity.ID, identity.Issuer, true, identity.Manufacturer.Name
	row.keyID = []byte(identity.ID.IssuerKeyID)
	if len(identity.Facts.KeyIdentifier) == 0 {
		// Without an AKI idevid-issuer is the SHA-1 of the device's own key, and may
		// have been meant to be that of its issuer's (draft-ietf-anima-rfc8366bis).
		own := sha1.Sum(identity.Facts.PublicKeyBits)
		row.aliases = append(row.aliases, own[:])
		if issuer, err := codec.ParseIDevID(issuerOf(identity).Raw); err == nil {
			theirs := sha1.Sum(issuer.PublicKeyBits)
			row.aliases = append(row.aliases, theirs[:])
		}
	}
	row.checkID()
}

// writeRow puts a row on record.
func (s *Service) writeRow(tx state.Tx, row *importRow, opts *ImportOptions, done *Imported) error {
	id, record, err := row.onRecord(tx)
	if err != nil {
		return err
	}
	if row.reject = row.belongs(record, opts.Manufacturer); row.reject != nil {
		return nil
	}
	isNew := record == nil
	if isNew {
		id, record = row.id, &deviceRecord{Issuer: row.issuer, Aliases: row.aliases, Imported: opts.Now.Unix(), Verified: row.verified, Open: true}
		for _, alias := range row.aliases {
			other := device.ID{IssuerKeyID: string(alias), Serial: id.Serial}
			if err := tx.Set(deviceKey(keyAlias, other), deviceKey("", id)); err != nil {
				return err
			}
		}
	}
	touched, err := row.applyOptions(tx, id, record, opts)
	if err != nil {
		return err
	}
	switch {
	case isNew:
		done.New++
	case touched:
		done.Changed++
	default:
		done.Unchanged++
		return nil
	}
	return s.setDevice(tx, id, record)
}

// onRecord returns the device of a row if it is on record under any of its
// names, and a nil record if it is not.
func (row *importRow) onRecord(tx state.Tx) (device.ID, *deviceRecord, error) {
	for _, keyID := range append([][]byte{row.keyID}, row.aliases...) {
		id, record, err := locate(tx, []byte(row.id.Serial), keyID)
		var missing *device.NotFoundError
		if err == nil || !errors.As(err, &missing) {
			return id, record, err
		}
	}
	return row.id, nil, nil
}

// belongs rejects a row that is about another manufacturer's device than the one
// on record, nil for none, or than the options say.
func (row *importRow) belongs(record *deviceRecord, stated string) *list.RowError {
	known := ""
	if record != nil {
		known = record.Maker
	}
	for _, pair := range [][2]string{{row.maker, stated}, {cmp.Or(row.maker, stated), known}} {
		if pair[0] != "" && pair[1] != "" && pair[0] != pair[1] {
			return row.rejected("", fmt.Errorf("it is a device of manufacturer %s, not of %s", pair[0], pair[1]), "leave it out, or import it for its own manufacturer")
		}
	}
	return nil
}

func (row *importRow) applyOptions(tx state.Tx, id device.ID, record *deviceRecord, opts *ImportOptions) (touched bool, err error) {
	if row.verified && !record.Verified {
		record.Verified, touched = true, true
	}
	if maker := cmp.Or(row.maker, opts.Manufacturer); maker != "" && record.Maker != maker {
		record.Maker, record.Open, touched = maker, false, true
	}
	if opts.Pool != "" && record.Pool != opts.Pool {
		record.Pool, touched = opts.Pool, true
	}
	if opts.Exclusive && !record.Exclusive {
		record.Exclusive, touched = true, true
	}
	if opts.LoggedOnMismatch && !record.LoggedOnMismatch {
		record.LoggedOnMismatch, touched = true, true
	}
	if formats := numbersOf(opts.Formats); opts.Formats != nil && !slices.Equal(record.Formats, formats) {
		record.Formats, touched = formats, true
	}
	if opts.Owner == "" {
		return touched, nil
	}
	given, err := give(tx, id, record, opts.Owner, opts.Now)
	return touched || given, err
}

func numbersOf(formats []codec.Format) []uint64 {
	var numbers []uint64
	for _, f := range formats {
		numbers = append(numbers, uint64(f))
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}
