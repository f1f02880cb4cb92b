package registrar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/state"
)

// DeviceInfo is what is known of a device, for people and scripts. Its JSON
// member names are stable; what is not known is left out.
type DeviceInfo struct {
	// Device names it in commands: ISSUER/SERIAL, or the bare serial number of a
	// device that is listed without an issuer and has not come yet.
	Device       string   `json:"device"`
	Serial       string   `json:"serial"`
	Issuer       string   `json:"issuer,omitempty"`       // key identifier, hexadecimal
	Manufacturer string   `json:"manufacturer,omitempty"` // of who came last, or as listed
	Standing     Standing `json:"standing,omitempty"`
	// Key is the SHA-256 of the SPKI of its IDevID, hexadecimal, as it came last;
	// KeyChanged says that its standing is bound to another one.
	Key        string     `json:"key,omitempty"`
	KeyChanged bool       `json:"key-changed,omitempty"`
	FirstSeen  *time.Time `json:"first-seen,omitempty"`
	LastSeen   *time.Time `json:"last-seen,omitempty"`
	// VoucherAt is when it got its last voucher; Verdict and Reason are what was
	// made of its audit log.
	VoucherAt *time.Time `json:"voucher-at,omitempty"`
	Verdict   Verdict    `json:"verdict,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	// Certificates, newest last, and Reports are shown of one device only.
	Certificates []CertificateInfo `json:"certificates,omitempty"`
	Reports      []Report          `json:"reports,omitempty"`
}

// CertificateInfo is a certificate that was issued to a device.
type CertificateInfo struct {
	Serial   string     `json:"serial"` // hexadecimal
	Label    string     `json:"label,omitempty"`
	IssuedAt time.Time  `json:"issued-at"`
	NotAfter time.Time  `json:"not-after"`
	Revoked  *time.Time `json:"revoked,omitempty"`
}

func moment(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	t := time.Unix(unix, 0).UTC()
	return &t
}

func (s *Service) info(id device.ID, dev *deviceRecord) *DeviceInfo {
	x := &DeviceInfo{Device: id.String(), Serial: id.Serial, Issuer: hexID([]byte(id.IssuerKeyID)), Manufacturer: dev.Manufacturer,
		Standing: dev.Standing, Key: hexID(dev.Seen), FirstSeen: moment(dev.FirstSeen), LastSeen: moment(dev.LastSeen)}
	if x.KeyChanged = dev.keyChanged(); x.Manufacturer == "" {
		x.Manufacturer = dev.Maker
	}
	if m := dev.Voucher; m != nil {
		x.VoucherAt, x.Verdict, x.Reason = moment(m.At), m.Verdict, m.Reason
	}
	return x
}

// keyChanged reports whether a device came with another key than the one that
// its standing is bound to.
func (d *deviceRecord) keyChanged() bool {
	return len(d.Key) > 0 && len(d.Seen) > 0 && !bytes.Equal(d.Key, d.Seen)
}

// MaxPage is how many devices one page of a listing holds at most.
const MaxPage = 1000

var errEnough = errors.New("enough")

// ListDevices returns up to n devices in the order of their serial numbers,
// those listed without an issuer last. after is "" for the first page, then what
// the call before returned as next; next is "" on the last page.
func (s *Service) ListDevices(ctx context.Context, after string, n int) (page []DeviceInfo, next string, err error) {
	from, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil {
		return nil, "", fmt.Errorf("registrar: %.80q is not where a page ended", after)
	}
	n = min(max(n, 1), MaxPage)
	var end []byte
	err = s.cfg.DB.View(ctx, func(r state.Reader) error {
		for _, prefix := range [][]byte{prefixDevice, prefixSerial} {
			if bytes.Compare(from, prefix) > 0 && !bytes.HasPrefix(from, prefix) {
				continue
			}
			err := r.Scan(prefix, from, func(key, value []byte) error {
				if len(page) == n {
					next = base64.RawURLEncoding.EncodeToString(end)
					return errEnough
				}
				x, err := s.listed(prefix, key, value)
				if err != nil {
					return err
				}
				page, end = append(page, *x), bytes.Clone(key)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return page, next, err
}

// listed reads one row of a listing.
func (s *Service) listed(prefix, key, value []byte) (*DeviceInfo, error) {
	if bytes.Equal(prefix, prefixSerial) {
		record, err := parse[listingRecord](key, value)
		serial := string(key[len(prefix):])
		return &DeviceInfo{Device: serial, Serial: serial, Manufacturer: record.Maker, Standing: record.Standing}, err
	}
	id, err := device.ParseKey(key[len(prefix):])
	if err != nil {
		return nil, err
	}
	dev, err := parse[deviceRecord](key, value)
	return s.info(id, &dev), err
}

// ShowDevice returns all that is known of a device, by a name that device.Find
// reads. The error is a *device.NotFoundError or *device.AmbiguousError.
func (s *Service) ShowDevice(ctx context.Context, name string) (*DeviceInfo, error) {
	var x *DeviceInfo
	err := s.cfg.DB.View(ctx, func(r state.Reader) error {
		id, listing, err := find(r, name)
		if err != nil {
			return err
		}
		if listing != nil {
			x = &DeviceInfo{Device: name, Serial: name, Manufacturer: listing.Maker, Standing: listing.Standing}
			return nil
		}
		dev, _, err := get[deviceRecord](r, deviceKey(prefixDevice, id))
		if err != nil {
			return err
		}
		x = s.info(id, &dev)
		for _, n := range dev.Reports {
			x.Reports = append(x.Reports, Report{At: *moment(n.At), Operation: n.Operation, OK: n.OK, Text: n.Text})
		}
		for _, serial := range dev.LDevIDs {
			record, found, err := get[certificateRecord](r, under(prefixCertificate, serial))
			if err != nil {
				return err
			}
			if found {
				x.Certificates = append(x.Certificates, CertificateInfo{Serial: hexID(serial), Label: record.Label,
					IssuedAt: *moment(record.IssuedAt), NotAfter: *moment(record.NotAfter), Revoked: moment(record.Revoked)})
			}
		}
		return nil
	})
	return x, err
}

// find returns the device of a name, or what a list says of a serial number
// whose device has not come.
func find(r state.Reader, name string) (device.ID, *listingRecord, error) {
	id, err := device.Find(r, prefixDevice, name)
	var missing *device.NotFoundError
	if !errors.As(err, &missing) || len(name) > device.MaxSerial {
		return id, nil, err
	}
	listing, found, also := get[listingRecord](r, under(prefixSerial, []byte(name)))
	if also != nil {
		return id, nil, also
	}
	if found {
		return id, &listing, nil
	}
	return id, nil, err
}

// Approve admits a device, with the IDevID key it came with last, and takes a
// refusal back. The error is a *device.NotFoundError or *device.AmbiguousError.
func (s *Service) Approve(ctx context.Context, name string) (*DeviceInfo, error) {
	return s.stand(ctx, name, Approved)
}

// Refuse keeps a device out, whatever key it comes with, and from being renewed.
// Certificates it has stay valid until they are revoked. Errors are as those of
// Approve.
func (s *Service) Refuse(ctx context.Context, name string) (*DeviceInfo, error) {
	return s.stand(ctx, name, Refused)
}

func (s *Service) stand(ctx context.Context, name string, standing Standing) (*DeviceInfo, error) {
	var x *DeviceInfo
	err := s.cfg.DB.Update(ctx, func(tx state.Tx) error {
		id, listing, err := find(tx, name)
		if err != nil {
			return err
		}
		if listing != nil {
			listing.Standing = standing
			x = &DeviceInfo{Device: name, Serial: name, Manufacturer: listing.Maker, Standing: standing}
			return put(tx, under(prefixSerial, []byte(name)), listing)
		}
		dev, _, err := get[deviceRecord](tx, deviceKey(prefixDevice, id))
		if err != nil {
			return err
		}
		dev.Standing = standing
		if standing == Approved && len(dev.Seen) > 0 {
			dev.Key = dev.Seen
			dev.bind(dev.Manufacturer)
		}
		x = s.info(id, &dev)
		return put(tx, deviceKey(prefixDevice, id), &dev)
	})
	if err != nil {
		return nil, err
	}
	s.observe(Event{Name: string(standing), Device: x.Device, Text: "an operator decided: " + string(standing)})
	return x, nil
}

// compromise bars the key of a certificate from being certified again.
func compromise(tx state.Tx, record *certificateRecord) error {
	cert, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	owner, _, err := get[keyRecord](tx, under(prefixKey, sum[:]))
	if err != nil {
		return err
	}
	owner.Device, owner.Compromised = record.Device, true
	return put(tx, under(prefixKey, sum[:]), &owner)
}
