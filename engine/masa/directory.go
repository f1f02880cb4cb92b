package masa

import (
	"crypto/x509"
	"errors"
	"time"

	"github.com/vouchmill/vouchmill/engine/state"
)

// A directory is all customers, pools and runs as of one generation, ready for
// use. It does not change.
type directory struct {
	generation uint64
	customers  map[string]*customer
	anchors    map[string][]*customer // by the subject of an anchor, DER
	pools      map[string]poolRecord
	runs       []servedRun
}

// A customer is a customerRecord with its certificates parsed.
type customer struct {
	Name                 string
	Anchors, ClientCerts []*x509.Certificate
	Nonceless            bool
	MaxLifetime          time.Duration
	Blocked              bool
	BlockReason          string
}

// A servedRun is a run on record.
type servedRun struct {
	name string
	runRecord
}

// candidates returns the customers that have an anchor which could have issued,
// or is, one of the certificates.
func (d *directory) candidates(certs []*x509.Certificate) []*customer {
	var found []*customer
	seen := make(map[*customer]bool)
	for _, c := range certs {
		for _, name := range [][]byte{c.RawIssuer, c.RawSubject} {
			for _, candidate := range d.anchors[string(name)] {
				if !seen[candidate] {
					seen[candidate] = true
					found = append(found, candidate)
				}
			}
		}
	}
	return found
}

// directory returns the one that r sees, the one in memory where that has not
// changed.
func (s *Service) directory(r state.Reader) (*directory, error) {
	generation, err := counter(r, keyGeneration)
	if err != nil {
		return nil, err
	}
	if d := s.current.Load(); d != nil && d.generation == generation {
		return d, nil
	}
	d := &directory{generation: generation, customers: map[string]*customer{}, anchors: map[string][]*customer{}, pools: map[string]poolRecord{}}
	if err := errors.Join(d.readCustomers(r), d.readPools(r), d.readRuns(r)); err != nil {
		return nil, err
	}
	s.current.Store(d)
	return d, nil
}

func (d *directory) readCustomers(r state.Reader) error {
	return r.Scan([]byte(keyCustomer), nil, func(key, value []byte) error {
		var record customerRecord
		if err := decode(key, value, &record); err != nil {
			return err
		}
		c, err := record.parse(string(key[len(keyCustomer):]))
		if err != nil {
			return &RecordError{append([]byte{}, key...), err}
		}
		d.customers[c.Name] = c
		named := make(map[string]bool)
		for _, anchor := range c.Anchors {
			if subject := string(anchor.RawSubject); !named[subject] {
				named[subject] = true
				d.anchors[subject] = append(d.anchors[subject], c)
			}
		}
		return nil
	})
}

func (d *directory) readPools(r state.Reader) error {
	return r.Scan([]byte(keyPool), nil, func(key, value []byte) error {
		var record poolRecord
		err := decode(key, value, &record)
		d.pools[string(key[len(keyPool):])] = record
		return err
	})
}

func (d *directory) readRuns(r state.Reader) error {
	return r.Scan([]byte(keyRun), nil, func(key, value []byte) error {
		run := servedRun{name: string(key[len(keyRun):])}
		err := decode(key, value, &run.runRecord)
		d.runs = append(d.runs, run)
		return err
	})
}

func (c *customerRecord) parse(name string) (*customer, error) {
	parsed := &customer{Name: name, Nonceless: c.Nonceless, MaxLifetime: time.Duration(c.MaxLifetime) * time.Second,
		Blocked: c.Blocked, BlockReason: c.BlockReason}
	for _, list := range []struct {
		to   *[]*x509.Certificate
		from [][]byte
	}{{&parsed.Anchors, c.Anchors}, {&parsed.ClientCerts, c.ClientCerts}} {
		for _, der := range list.from {
			cert, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, cert)
		}
	}
	return parsed, nil
}
