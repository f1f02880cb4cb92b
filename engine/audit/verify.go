package audit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vouchmill/vouchmill/engine/device"
)

// A Proof is the member [ProofMember] of an answer: a signed head, and for each
// event shown its record and the proof that the log has it.
type Proof struct {
	Head    []byte // the signed note
	Entries []ProofEntry
}

// A ProofEntry is one event of a Proof.
type ProofEntry struct {
	Index  uint64
	Record []byte
	Path   []Hash
	Event  *Event // what Record says
}

// HasProof reports whether the answer has the member that proves it.
func (r *Response) HasProof() bool { return r.proof != nil }

// SignedHead returns the head that the answer is proven against as its signer
// wrote it, once VerifyLog has accepted it: to be kept, since two signed heads
// that do not fit are proof for everybody. It is nil without a proof.
func (r *Response) SignedHead() []byte {
	p, err := parseProof(r.proof)
	if err != nil {
		return nil
	}
	return p.Head
}

// VerifyLog checks that what the answer shows is in the log whose keys v knows:
// that the head is signed, that each event is in the log of that head, that the
// log's record says of it what the answer says, and that the records are those
// of a device with the serial number given ("" compares none). It returns the
// head, to be kept: a later one must be consistent with it. Errors are
// [ErrNoProof] and *[ProofError].
//
// It does not show that the answer is complete: events of the device that were
// left out are not missed. That a run holds the device is the MASA's word.
func (r *Response) VerifyLog(v *Verifier, serial string) (Head, error) {
	if r.proof == nil {
		return Head{}, ErrNoProof
	}
	p, err := parseProof(r.proof)
	if err != nil {
		return Head{}, err
	}
	if len(p.Entries) != len(r.Events) {
		return Head{}, &ProofError{"entries", fmt.Errorf("there are %d, for %d events", len(p.Entries), len(r.Events))}
	}
	head, err := p.verify(v)
	if err != nil {
		return Head{}, err
	}
	for i := range p.Entries {
		e := &p.Entries[i]
		err := r.Events[i].saysSame(e.Event)
		if err == nil && serial != "" && e.Event.Kind == VoucherIssued && e.Event.Device.Serial != serial {
			err = fmt.Errorf("it is of the device with serial number %q, not of %q", e.Event.Device.Serial, serial)
		}
		if err != nil {
			return Head{}, &ProofError{fmt.Sprintf("event %d", e.Index), err}
		}
	}
	return head, nil
}

// verify checks the head, and each entry against it.
func (p *Proof) verify(v *Verifier) (Head, error) {
	head, err := v.VerifyHead(p.Head)
	if err != nil {
		return Head{}, err
	}
	seen := map[uint64]bool{}
	for i := range p.Entries {
		e := &p.Entries[i]
		if seen[e.Index] {
			return Head{}, &ProofError{fmt.Sprintf("event %d", e.Index), errors.New("it is there twice")}
		}
		seen[e.Index] = true
		if err := VerifyInclusion(head, e.Index, e.Record, e.Path); err != nil {
			return Head{}, err
		}
	}
	return head, nil
}

// saysSame compares what is shown of an event with what the log says.
func (e *ResponseEvent) saysSame(logged *Event) error {
	date, domains := logged.Date, [][]byte{logged.DomainID}
	if logged.Kind == RunImported {
		date, domains = logged.CreatedOn, logged.DomainIDs
	}
	among := false
	for _, id := range domains {
		among = among || bytes.Equal(id, e.DomainID)
	}
	switch {
	case !date.Equal(e.Date):
		return errors.New("the answer shows another date than the log has")
	case !among:
		return errors.New("the answer shows another domainID than the log has")
	case (e.Nonce == nil) != (logged.Nonce == nil) || e.Nonce != nil && *e.Nonce != *logged.Nonce:
		return errors.New("the answer shows another nonce than the log has")
	case e.Assertion != logged.Assertion.String():
		return errors.New("the answer shows another assertion than the log has")
	}
	return nil
}

// parseProof reads a member that is JSON with names of their own.
func parseProof(text []byte) (*Proof, error) {
	bad := func(part string, err error) error { return &ProofError{part, err} }
	o, err := toObject(text)
	if err != nil {
		return nil, bad(ProofMember, err)
	}
	head, err := o.text("head", MaxHead)
	if err != nil || head == nil {
		return nil, bad("head", errors.Join(err, errors.New("it is not there")))
	}
	items, err := o.list("entries", Limits{}.withDefaults().Events)
	if err != nil {
		return nil, bad("entries", err)
	}
	p := &Proof{Head: []byte(*head), Entries: make([]ProofEntry, len(items))}
	for i, item := range items {
		if err := p.Entries[i].parse(item); err != nil {
			return nil, bad(fmt.Sprintf("entries[%d]", i), err)
		}
	}
	return p, nil
}

func (e *ProofEntry) parse(item []byte) error {
	o, err := toObject(item)
	if err != nil {
		return err
	}
	if !o.has("index") {
		return errors.New("it has no index")
	}
	if e.Index, err = o.number("index"); err != nil {
		return err
	}
	if e.Record, err = o.octets("record", MaxRecord); err != nil {
		return err
	}
	if e.Path, err = o.hashes("proof"); err != nil {
		return err
	}
	e.Event, err = ParseRecord(e.Record)
	return err
}

// Evidence is what [VerifyFiles] found to hold.
type Evidence struct {
	Head    Head   // of the saved answer
	Signed  []byte // the same as its signer wrote it, to be kept for the next time
	Older   *Head
	Entries []ProofEntry
	Device  *device.ID // when all vouchers among the entries are of one device
}

// VerifyFiles checks what a registrar or an auditor kept: saved is an answer to
// requestauditlog or its member [ProofMember] alone. older, when not nil, is a
// signed head seen before, and consistency a proof as
// [ConsistencyProof.AppendJSON] writes it, nil where the heads have one size. It
// needs nothing but these and the keys of the log. Errors are *[ResponseError],
// [ErrNoProof] and *[ProofError].
func VerifyFiles(v *Verifier, saved, older, consistency []byte) (*Evidence, error) {
	if limit := (Limits{}).withDefaults().Bytes; len(saved) > limit {
		return nil, &ResponseError{"", fmt.Errorf("it has %d octets, the limit is %d", len(saved), limit)}
	}
	o, err := parseObject(saved)
	if err != nil {
		return nil, &ResponseError{"", err}
	}
	proof := saved
	if _, bare := o["entries"]; !bare {
		r, err := ParseResponse(saved, Limits{})
		if err != nil {
			return nil, err
		}
		if _, err := r.VerifyLog(v, ""); err != nil {
			return nil, err
		}
		proof = r.proof
	}
	p, err := parseProof(proof)
	if err != nil {
		return nil, err
	}
	found := &Evidence{Signed: p.Head, Entries: p.Entries, Device: oneDevice(p.Entries)}
	if found.Head, err = p.verify(v); err != nil {
		return nil, err
	}
	if older != nil {
		found.Older, err = verifyOlder(v, older, found.Head, consistency)
	}
	return found, err
}

// verifyOlder checks that the log of an older head is the beginning of the
// newer one's.
func verifyOlder(v *Verifier, signed []byte, newer Head, consistency []byte) (*Head, error) {
	older, err := v.VerifyHead(signed)
	if err != nil {
		return nil, err
	}
	p := &ConsistencyProof{OldSize: older.Size, NewSize: newer.Size}
	switch {
	case consistency != nil:
		if p, err = ParseConsistencyProof(consistency); err != nil {
			return nil, err
		}
	case older.Size != newer.Size:
		return nil, &ProofError{"consistency", fmt.Errorf("a proof is needed that the log of %d events begins with that of %d; ask the MASA for it", newer.Size, older.Size)}
	}
	return &older, p.Verify(older, newer)
}

// oneDevice returns the device all vouchers are of, nil if there is none or
// more than one.
func oneDevice(entries []ProofEntry) (id *device.ID) {
	for i := range entries {
		e := entries[i].Event
		if e.Kind != VoucherIssued {
			continue
		}
		if id != nil && *id != e.Device {
			return nil
		}
		id = &e.Device
	}
	return id
}
