package verify

import (
	"fmt"

	"github.com/vouchmill/vouchmill/codec"
)

// fail counts a failure and passes it on.
func (j *job) fail(f *Failure) error {
	j.report.Failures[f.Check]++
	if j.cfg.Failed == nil {
		return nil
	}
	return j.cfg.Failed(f)
}

// sink takes a checked batch, in order.
func (j *job) sink(b *batch) error {
	src := b.source
	if b.opened {
		j.report.Sources++
	}
	if src.stored != nil {
		j.checks[CheckPage] = true
	}
	if !b.damage.none() {
		if err := j.fail(b.damage.at(fmt.Sprintf("%s, page %d", src.name, b.page), "")); err != nil {
			return err
		}
	}
	for i := range b.items {
		if err := j.item(b, i); err != nil {
			return err
		}
	}
	if p := j.cfg.Progress; p != nil {
		p.Issued.Store(j.report.Passed)
		p.Rejected.Store(j.report.Failed)
	}
	if err := j.grow(b); err != nil {
		return err
	}
	if b.ended != nil {
		src.cut = true
		if err := j.fail(b.ended); err != nil {
			return err
		}
	}
	if b.last {
		return j.end(src)
	}
	return nil
}

// item counts one voucher.
func (j *job) item(b *batch, i int) error {
	it := &b.items[i]
	j.report.Vouchers++
	b.source.vouchers++
	if it.format == codec.FormatCMS {
		j.checks[CheckDigest] = true
	}
	if it.finding.none() && j.cfg.Expect.Serials != nil {
		it.finding = j.cfg.Expect.Serials.take(b.at(it.serial), b.keyIDOf(it))
	}
	if it.finding.none() {
		j.report.Passed++
		j.report.Formats[it.format.String()]++
		return nil
	}
	j.report.Failed++
	return j.fail(it.finding.at(b.place(i), b.serialOf(i)))
}

// grow appends the batch's vouchers to the source's tree.
func (j *job) grow(b *batch) error {
	src := b.source
	if src.leaf == nil && src.stored == nil || src.gap != "" || len(b.items) == 0 && b.damage.none() {
		return nil
	}
	switch {
	case len(b.items) == 0:
		src.gap = fmt.Sprintf("page %d cannot be read", b.page)
	case b.gap > 0:
		src.gap = fmt.Sprintf("%s cannot be read", b.place(b.gap-1))
	default:
		if err := src.tree.Merge(&b.nodes, nil); err != nil {
			src.gap = err.Error()
			if src.stored != nil {
				return j.fail(found(CheckPage, pageRemedy, "it begins at voucher %d, not at %d", b.nodes.Begin, src.tree.End).at(fmt.Sprintf("%s, page %d", src.name, b.page), ""))
			}
		}
	}
	return nil
}

// end closes a source: everything that can only be told of the whole.
func (j *job) end(src *source) error {
	switch {
	case src.stored != nil && !src.cut && src.gap == "" && src.vouchers != src.want:
		if err := j.fail(found(CheckPage, pageRemedy, "its pages hold %d vouchers, it counts %d", src.vouchers, src.want).at(src.name, "")); err != nil {
			return err
		}
	case src.vouchers == 0 && !src.cut && src.gap == "":
		if err := j.fail(found(CheckRead, "check that this is what was to be verified", "it holds no voucher").at(src.name, "")); err != nil {
			return err
		}
	}
	if src.manifest == nil && src.manifestErr == nil {
		if !src.cut && !src.loose {
			j.report.note(noManifest(src))
		}
		return nil
	}
	j.checks[CheckManifest] = true
	f := checkManifest(src, j.chains, j.verifier)
	j.report.Manifests = append(j.report.Manifests, manifestReport(src, f.none()))
	if f.none() {
		return nil
	}
	return j.fail(f.at(src.name+", manifest", ""))
}

// missing names the expected devices that have no voucher.
func (j *job) missing() error {
	if j.cfg.Expect.Serials == nil {
		return nil
	}
	for serial, keyID := range j.cfg.Expect.Serials.missing() {
		j.report.Missing++
		reason := "missing: the device has no voucher that passed"
		if len(keyID) > 0 {
			reason = fmt.Sprintf("missing: the device of issuer %x has no voucher that passed", keyID)
		}
		if err := j.fail(found(CheckSerial, "issue a voucher for it, or correct the list", "%s", reason).at("expected devices", string(serial))); err != nil {
			return err
		}
	}
	return nil
}
