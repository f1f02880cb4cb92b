// Package audit is the audit log of a MASA (RFC 8995 §5.8): which domains were
// given vouchers for a device. It is append-only and a Merkle tree from its first
// event, so that a registrar can prove what it was shown, and catch a MASA that
// takes an event back.
//
// At a MASA:
//
//	signer, err := audit.NewSigner(key)                  // of GenerateKey
//	log, err := audit.New(signer, rand.Reader)
//	err = db.Update(ctx, func(tx state.Tx) error {       // with the rest of what is decided
//		_, err := log.Append(tx, &audit.Event{Kind: audit.VoucherIssued, …})
//		return err
//	})
//	err = db.View(ctx, func(r state.Reader) error {      // requestauditlog
//		body, err = log.AppendResponse(nil, r, audit.ResponseParams{Device: id})
//		return err
//	})
//
// At a registrar:
//
//	response, err := audit.ParseResponse(body, audit.Limits{})
//	verdict := audit.Judge(response, audit.Policy{Ours: ours, Voucher: &received})
//	head, err := response.VerifyLog(verifier, serial)    // where the MASA's log has a key
//
// [VerifyFiles] checks an answer that was kept, years later, and that the log
// of one head is the beginning of that of another.
//
// # The tree
//
// A leaf is the record of an event: deterministic CBOR with the device, the
// domainIDs, dates, nonce, assertion and the digests of request and voucher. The
// tree is that of RFC 9162 §2.1 (golang.org/x/mod/sumdb/tlog), a head is a signed
// note in the form of C2SP's tlog-checkpoint (golang.org/x/mod/sumdb/note), so
// tools made for transparency logs read both. Customer, name and size of a run
// are in the record as a salted digest alone: a device's next owner is shown who
// had the device as a domainID, as RFC 8995 §5.8.1 has it, and no more.
//
// # Trust
//
// The head's signer is the MASA. It can log events that did not happen, issue
// vouchers and not log them, and leave events out of an answer; no log prevents
// that. What it cannot do, once someone keeps a signed head, is change or remove
// an event under that head, put one before it, or show two parties different
// logs, without leaving two signed heads that do not fit: proof for everybody.
// Whoever steals the key can sign heads, and vouches for nothing more: vouchers
// are signed by another key. Changing the key is to give registrars the new one
// beside the old ([NewVerifier] takes several of one origin).
//
// A state restored from an old copy forks the log. Restore the newest one, and
// compare with a head that a registrar kept.
//
// # Durability and concurrency
//
// An event is in the log when its transaction is durable, see package state. A
// head is signed in a View only, of what is durable. [Log], [Signer] and
// [Verifier] are safe for concurrent use; functions of a Reader or a Tx are as
// that is.
package audit
