// Package list reads lists of devices, one Record a device, from the forms a
// factory or an order desk has at hand: CSV with a header row, NDJSON, a CBOR
// sequence (RFC 8742), or the IDevID certificates themselves (IEEE 802.1AR) as
// a PEM bundle, as DER, or as a directory of files. Gzip and zstd around any of
// them are undone on the way. Form and compression are told by content.
//
// Open reads a path, NewReader any io.Reader; Read then returns one device at
// a time until io.EOF:
//
//	r, err := list.Open("devices.csv.zst", list.Options{})
//	...
//	defer r.Close()
//	var rec list.Record
//	for {
//		err := r.Read(&rec)
//		var bad *list.RowError
//		switch {
//		case err == io.EOF:
//			return nil
//		case errors.As(err, &bad):
//			// one device is unusable; the next Read goes on behind it
//		case err != nil:
//			return err
//		default:
//			// use rec until the next Read
//		}
//	}
//
// # What a row says
//
//   - serial-number: required, taken verbatim; 1 to Options.MaxSerialBytes
//     octets of UTF-8 without control characters or outer blanks.
//   - idevid-issuer: hexadecimal or base64 (in CBOR also a byte string) of the
//     authority key identifier in any of its three forms; Record.Issuer is
//     always the extnValue form "04 LL 30 .." (RFC 8366bis).
//   - pinned-domain-cert: a name the caller maps to a certificate.
//   - expires-on: an RFC 3339 date-time, a full date, a duration or "never",
//     handed on as text.
//
// Empty optional values mean the same as an absent column. A certificate states
// its serial number and its issuer by itself, the serial number where
// Options.SerialFrom looks for it; one without an authority key identifier gets the SHA-1 of its own key, as
// RFC 8366bis has it.
//
// # What goes wrong
//
// A CSV list that was cut off within its last row cannot be told from one whose
// last line end is missing: that row is read as it stands. Every other form, and
// compression, tell.
//
// A row that cannot be used is a *RowError and reading goes on behind it; what
// ends the list early (I/O, a truncated archive, a header with an unknown
// column, CBOR that has lost its place) is a *ListError. Both name place, cause
// and remedy. Rejects writes the unusable rows to a file of their own.
//
// # What it costs
//
// The readers work in one reused buffer of 1 MiB and allocate nothing for a
// good row; memory does not grow with the list, except that a directory's names
// are held in order to sort them. Every row has a maximum length and every
// archive a maximum expansion, so no input makes a Reader hold more than its
// buffer (and what zstd looks back on, at most 32 MiB) or work for longer than
// its input warrants.
package list
