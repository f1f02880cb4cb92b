package registrar

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// ImportReport counts what an import did.
type ImportReport struct {
	Rows      uint64 `json:"rows"`
	Added     uint64 `json:"added"`     // listed now and not before
	Changed   uint64 `json:"changed"`   // listed before, and bound to a manufacturer or a key now
	Unchanged uint64 `json:"unchanged"` // listed, approved or refused before
	Rejected  uint64 `json:"rejected"`
}

// ImportOptions say whose devices are imported, and who wants to know about it.
type ImportOptions struct {
	// Manufacturer is the name of the manufacturer that made the devices; no
	// device of another is taken for one of them. "" leaves it open: see
	// ImportDevices.
	Manufacturer string
	// Reject is called with each row that cannot be used; its error ends the
	// import. Default: such rows are counted.
	Reject func(*list.RowError) error
	// Progress is called after each transaction with how many rows were read so
	// far. Default: nobody is told.
	Progress func(rows uint64)
}

// importBatch is how many rows one transaction takes: with serial numbers as
// long as they may be half of what an Update takes.
const importBatch = 512

// An importRow is one row on its way into the database.
type importRow struct {
	line   uint64
	file   string
	raw    []byte
	serial string
	issuer []byte              // idevid-issuer, nil for none
	der    []byte              // the certificate the row is, nil for none
	above  []*x509.Certificate // its issuers, as the list has them behind it
	id     device.ID
	key    []byte // SHA-256 of its SPKI
	maker  string // whose device it is, "" where nobody says
	err    *list.RowError
}

// ImportDevices puts the devices of a list on the list of those to be admitted.
// Importing twice changes nothing, and takes no refusal back. Rows are durable
// in batches: after an error those before it stay, and the import may be run
// again.
//
// A row is an IDevID certificate, which must lead to a configured manufacturer
// and is bound to its key (certificates of CAs behind it complete its chain); or
// a serial number with an idevid-issuer; or a serial number alone. The last
// admits the first device with the number that a configured manufacturer vouches
// for, and only while no other device with the same number is on record: such a
// device is refused as ambiguous, until it is approved by its full name.
//
// A row with an idevid-issuer proves nothing by itself: whoever makes a CA chooses
// its key identifier. So a row is for the devices of opts.Manufacturer; or, where
// none is named, for those whose issuer has the key that the identifier is a
// digest of (RFC 5280 §4.2.1.2), or of the only manufacturer that is known when
// the device comes. Otherwise it admits nobody, until the list is imported again
// for a manufacturer. That changes whose a device is as long as none was admitted
// under its name.
//
// The error is opts.Reject's, the reader's *list.ListError, the database's, or
// ErrNoManufacturer.
func (s *Service) ImportDevices(ctx context.Context, rows *list.Reader, opts ImportOptions) (*ImportReport, error) {
	report := &ImportReport{}
	if _, known := s.makers.Load().byName[opts.Manufacturer]; !known && opts.Manufacturer != "" {
		return report, fmt.Errorf("%w: %.80q", ErrNoManufacturer, opts.Manufacturer)
	}
	format := rows.Format()
	from := &importReader{rows: rows, certificates: format == list.FormatPEM || format == list.FormatDER || format == list.FormatDir}
	for done := false; !done; {
		batch, err := from.batch()
		if done = errors.Is(err, io.EOF); err != nil && !done {
			// What was read before is good.
			if also := s.importBatch(ctx, rows.Unit(), batch, report, &opts); also != nil {
				return report, also
			}
			return report, err
		}
		if err := s.importBatch(ctx, rows.Unit(), batch, report, &opts); err != nil {
			return report, err
		}
	}
	return report, nil
}

// An importReader copies rows out of a list.
type importReader struct {
	rows         *list.Reader
	certificates bool       // the list is of certificates
	ahead        *importRow // read, and the first of the next batch
}

// batch reads rows until there are enough and one more: what follows a row may
// belong to it. The error says why there are no more.
func (ir *importReader) batch() (batch []importRow, err error) {
	if ir.ahead != nil {
		batch, ir.ahead = append(batch, *ir.ahead), nil
	}
	for {
		row, err := ir.row()
		if err != nil {
			return batch, err
		}
		switch n := len(batch); {
		case row.err != nil && ir.isAuthority(row, batch):
		case n < importBatch:
			batch = append(batch, *row)
		default:
			ir.ahead = row
			return batch, nil
		}
	}
}

func (ir *importReader) row() (*importRow, error) {
	var rec list.Record
	err := ir.rows.Read(&rec)
	var bad *list.RowError
	if errors.As(err, &bad) {
		kept := *bad
		kept.Raw = bytes.Clone(bad.Raw)
		return &importRow{file: bad.File, raw: kept.Raw, err: &kept}, nil
	}
	if err != nil {
		return nil, err
	}
	row := &importRow{line: rec.Line, file: rec.File, raw: bytes.Clone(rec.Raw), serial: string(rec.Serial), issuer: bytes.Clone(rec.Issuer)}
	if ir.certificates {
		row.der = derOf(row.raw)
	}
	return row, nil
}

func derOf(raw []byte) []byte {
	if block, _ := pem.Decode(raw); block != nil {
		return block.Bytes
	}
	return raw
}

// isAuthority reports whether a row that is no device is a CA's certificate: it
// belongs to the chain of the device before it, and is no row.
func (ir *importReader) isAuthority(row *importRow, batch []importRow) bool {
	if !ir.certificates || !errors.Is(row.err, list.ErrCertificate) {
		return false
	}
	c, err := x509.ParseCertificate(derOf(row.raw))
	if err != nil || !c.IsCA {
		return false
	}
	if n := len(batch); n > 0 && batch[n-1].file == row.file && len(batch[n-1].above) < sign.MaxChain {
		batch[n-1].above = append(batch[n-1].above, c)
	}
	return true
}

func (s *Service) importBatch(ctx context.Context, unit string, batch []importRow, report *ImportReport, opts *ImportOptions) error {
	if len(batch) == 0 {
		return nil
	}
	s.nameRows(unit, batch, opts.Manufacturer, s.cfg.Clock())
	// Rows behind the one that ends the import are not applied.
	var ended error
	for i := range batch {
		if batch[i].err != nil {
			if ended = report.reject(batch[i].err, opts); ended != nil {
				batch = batch[:i+1]
				break
			}
		}
	}
	bound, err := s.apply(ctx, unit, batch, report)
	if err != nil {
		return err
	}
	for _, e := range bound {
		if err := report.reject(e, opts); err != nil && ended == nil {
			ended = err
		}
	}
	if opts.Progress != nil {
		opts.Progress(report.Rows)
	}
	return ended
}

// reject counts a row that cannot be used, and tells of it.
func (r *ImportReport) reject(e *list.RowError, opts *ImportOptions) error {
	r.Rejected++
	if opts.Reject == nil {
		return nil
	}
	return opts.Reject(e)
}

// apply puts the good rows of a batch on the list, in one transaction. It returns
// the rows that only the database shows to be none.
func (s *Service) apply(ctx context.Context, unit string, batch []importRow, report *ImportReport) (bound []*list.RowError, err error) {
	done := map[imported]uint64{}
	err = s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		for i := range batch {
			row := &batch[i]
			if row.err != nil {
				continue
			}
			what, err := importOne(tx, row, s.cfg.Clock().Unix())
			switch {
			case errors.Is(err, errBound):
				bound = append(bound, row.reject(unit, err, "approve the device by name once it came with its new key"))
			case errors.Is(err, errForeign):
				bound = append(bound, row.reject(unit, err, "leave the row out, or refuse the device by name"))
			case err != nil:
				return err
			default:
				done[what]++
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	report.Rows += uint64(len(batch))
	report.Added += done[added]
	report.Changed += done[changed]
	report.Unchanged += done[unchanged]
	return bound, nil
}

func (row *importRow) reject(unit string, err error, remedy string) *list.RowError {
	return &list.RowError{File: row.file, Unit: unit, Line: row.line, Err: err, Remedy: remedy, Raw: row.raw}
}

// nameRows finds the device of each row. Certificates are verified, by as many
// goroutines as there are processors.
func (s *Service) nameRows(unit string, batch []importRow, maker string, now time.Time) {
	workers := min(runtime.GOMAXPROCS(0), len(batch))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(batch); i += workers {
				if batch[i].err == nil {
					s.nameRow(unit, &batch[i], maker, now)
				}
			}
		})
	}
	wg.Wait()
}

func (s *Service) nameRow(unit string, row *importRow, maker string, now time.Time) {
	row.maker = maker
	if n := len(row.serial); n > maxSerial {
		row.err = row.reject(unit, fmt.Errorf("%w: a serial number of %d octets, the limit is %d", list.ErrValue, n, maxSerial), "leave the row out")
		return
	}
	if row.der != nil {
		cert, err := x509.ParseCertificate(row.der)
		if err == nil {
			var who *device.Identity
			if who, err = identify(append([]*x509.Certificate{cert}, row.above...), s.makers.Load(), now); err == nil {
				if row.id, row.key, row.maker = who.ID, bytes.Clone(who.SPKI[:]), who.Manufacturer.Name; maker != "" && maker != row.maker {
					row.err = row.reject(unit, fmt.Errorf("%w: manufacturer %s vouches for it, and the list is imported for manufacturer %s", list.ErrCertificate, row.maker, maker), "import it for its own manufacturer, or leave the row out")
				}
				return
			}
		}
		row.err = row.reject(unit, fmt.Errorf("%w: %w", list.ErrCertificate, err), "add its manufacturer with registrar manufacturers add, or leave the row out")
		return
	}
	if row.issuer == nil {
		return
	}
	keyID, err := codec.IssuerKeyID(row.issuer)
	row.id = device.ID{IssuerKeyID: string(keyID), Serial: row.serial}
	if err == nil {
		err = row.id.Check()
	}
	if err != nil {
		row.err = row.reject(unit, fmt.Errorf("%w: %w", list.ErrValue, err), "correct the row")
	}
}

var (
	errBound   = errors.New("the device is on record with another key than this certificate has")
	errForeign = errors.New("the device is on record as another manufacturer's")
	// ErrNoManufacturer is an import for a manufacturer that is not known.
	ErrNoManufacturer = errors.New("registrar: no manufacturer has the name; list them, or add it first")
)

// imported is what an import did with one row.
type imported int

const (
	unchanged imported = iota
	added
	changed
)

// importOne puts one device on the list.
func importOne(tx state.Tx, row *importRow, now int64) (imported, error) {
	if row.id == (device.ID{}) {
		return importSerial(tx, row, now)
	}
	id := row.id
	if other, found, err := get[aliasRecord](tx, deviceKey(prefixAlias, id)); err != nil {
		return 0, err
	} else if found {
		if id, err = device.ParseKey(other.Device); err != nil {
			return 0, err
		}
	}
	key := deviceKey(prefixDevice, id)
	dev, _, err := get[deviceRecord](tx, key)
	if err != nil {
		return 0, err
	}
	what, err := dev.list(row)
	if what == unchanged || err != nil {
		return what, err
	}
	return what, put(tx, key, &dev)
}

// list takes over what a row says of a device.
func (d *deviceRecord) list(row *importRow) (imported, error) {
	decided := d.Standing != "" && d.Standing != Waiting
	bound := decided && len(d.Key) > 0
	foreign := row.maker != "" && d.Maker != row.maker
	switch {
	case bound && row.key != nil && !bytes.Equal(d.Key, row.key):
		return 0, errBound
	case bound && foreign && d.Maker != "":
		return 0, fmt.Errorf("%w: %s", errForeign, d.Maker)
	case bound, decided && row.key == nil && !foreign:
		return unchanged, nil
	}
	what := changed
	if !decided {
		what, d.Standing = added, Listed
	}
	if d.Key = row.key; row.maker == "" {
		d.Open = d.Maker == ""
		return what, nil
	}
	if d.bind(row.maker); d.Manufacturer != row.maker {
		// What came under its name was another's.
		d.Manufacturer, d.Seen, d.IDevID = "", nil, nil
	}
	return what, nil
}

// importSerial lists a bare serial number, unless it stands for a device that
// came already.
func importSerial(tx state.Tx, row *importRow, now int64) (imported, error) {
	key := under(prefixSerial, []byte(row.serial))
	listed, found, err := get[listingRecord](tx, key)
	switch {
	case err != nil || found && (row.maker == "" || row.maker == listed.Maker):
		return unchanged, err
	case found:
		listed.Maker = row.maker
		return changed, put(tx, key, &listed)
	}
	ids, err := withSerial(tx, row.serial, row.maker)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		dev, _, err := get[deviceRecord](tx, deviceKey(prefixDevice, id))
		if err != nil || dev.Standing != "" && dev.Standing != Waiting {
			return unchanged, err
		}
	}
	return added, put(tx, key, &listingRecord{Standing: Listed, At: now, Maker: row.maker})
}
