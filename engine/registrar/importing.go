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
	Unchanged uint64 `json:"unchanged"` // listed, approved or refused before
	Rejected  uint64 `json:"rejected"`
}

// ImportOptions say who wants to know about an import.
type ImportOptions struct {
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
// The error is opts.Reject's, the reader's *list.ListError, or the database's.
func (s *Service) ImportDevices(ctx context.Context, rows *list.Reader, opts ImportOptions) (*ImportReport, error) {
	report := &ImportReport{}
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
	s.nameRows(unit, batch, s.cfg.Clock())
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
	added, unchanged := uint64(0), uint64(0)
	err = s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		for i := range batch {
			row := &batch[i]
			if row.err != nil {
				continue
			}
			fresh, err := importOne(tx, row, s.cfg.Clock().Unix())
			switch {
			case errors.Is(err, errBound):
				bound = append(bound, row.reject(unit, err, "approve the device by name once it came with its new key"))
			case err != nil:
				return err
			case fresh:
				added++
			default:
				unchanged++
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	report.Rows += uint64(len(batch))
	report.Added += added
	report.Unchanged += unchanged
	return bound, nil
}

func (row *importRow) reject(unit string, err error, remedy string) *list.RowError {
	return &list.RowError{File: row.file, Unit: unit, Line: row.line, Err: err, Remedy: remedy, Raw: row.raw}
}

// nameRows finds the device of each row. Certificates are verified, by as many
// goroutines as there are processors.
func (s *Service) nameRows(unit string, batch []importRow, now time.Time) {
	workers := min(runtime.GOMAXPROCS(0), len(batch))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(batch); i += workers {
				if batch[i].err == nil {
					s.nameRow(unit, &batch[i], now)
				}
			}
		})
	}
	wg.Wait()
}

func (s *Service) nameRow(unit string, row *importRow, now time.Time) {
	if n := len(row.serial); n > maxSerial {
		row.err = row.reject(unit, fmt.Errorf("%w: a serial number of %d octets, the limit is %d", list.ErrValue, n, maxSerial), "leave the row out")
		return
	}
	if row.der != nil {
		cert, err := x509.ParseCertificate(row.der)
		if err == nil {
			var who *device.Identity
			if who, err = identify(append([]*x509.Certificate{cert}, row.above...), s.makers.Load(), now); err == nil {
				row.id, row.key = who.ID, bytes.Clone(who.SPKI[:])
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

var errBound = errors.New("the device is on record with another key than this certificate has")

// importOne puts one device on the list. It reports whether that was new.
func importOne(tx state.Tx, row *importRow, now int64) (fresh bool, err error) {
	if row.id == (device.ID{}) {
		return importSerial(tx, row.serial, now)
	}
	id := row.id
	if other, found, err := get[aliasRecord](tx, deviceKey(prefixAlias, id)); err != nil {
		return false, err
	} else if found {
		if id, err = device.ParseKey(other.Device); err != nil {
			return false, err
		}
	}
	key := deviceKey(prefixDevice, id)
	dev, _, err := get[deviceRecord](tx, key)
	if err != nil {
		return false, err
	}
	switch bound := len(dev.Key) > 0 && dev.Standing != "" && dev.Standing != Waiting; {
	case bound && row.key != nil && !bytes.Equal(dev.Key, row.key):
		return false, errBound
	case dev.Standing != "" && dev.Standing != Waiting && (row.key == nil || bound):
		return false, nil
	}
	fresh = dev.Standing == "" || dev.Standing == Waiting
	if fresh {
		dev.Standing = Listed
	}
	dev.Key = row.key
	return fresh, put(tx, key, &dev)
}

// importSerial lists a bare serial number, unless it stands for a device that
// came already.
func importSerial(tx state.Tx, serial string, now int64) (fresh bool, err error) {
	key := under(prefixSerial, []byte(serial))
	if _, found, err := get[listingRecord](tx, key); err != nil || found {
		return false, err
	}
	ids, err := device.WithSerial(tx, prefixDevice, serial)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		dev, _, err := get[deviceRecord](tx, deviceKey(prefixDevice, id))
		if err != nil {
			return false, err
		}
		if dev.Standing != "" && dev.Standing != Waiting {
			return false, nil
		}
	}
	return true, put(tx, key, &listingRecord{Standing: Listed, At: now})
}
