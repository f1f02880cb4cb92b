package registrar

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/sign"
)

// leaf checks what a role needs of a client: a certificate, and requests left in
// the budget of its key.
func (a *attempt) leaf() (*x509.Certificate, error) {
	if len(a.r.Peer) == 0 {
		return nil, a.trail.Refuse(decision.NoCertificate, "client-certificate", "the TLS client presented no certificate; a device presents its IDevID (RFC 8995 section 5.1)")
	}
	leaf := a.r.Peer[0]
	if wait, ok := a.s.clients.take(sha256.Sum256(leaf.RawSubjectPublicKeyInfo), a.r.Now); !ok {
		return nil, a.trail.Refuse(decision.RateLimited, "budget", "the client of %q asks more than once in %s", leaf.Subject, a.s.cfg.Refill).After(wait)
	}
	return leaf, nil
}

// ours reports whether a certificate was issued by this domain, whatever became
// of it since.
func (s *Service) ours(leaf *x509.Certificate) bool {
	name := digest(sha256.Sum256(leaf.Raw))
	if s.issued.has(name) {
		return true
	}
	ours := s.issuedHere(leaf)
	if ours {
		s.issued.add(name)
	}
	return ours
}

func (s *Service) issuedHere(leaf *x509.Certificate) bool {
	own := s.cfg.Authority.Certificate()
	if string(leaf.RawIssuer) == string(own.RawSubject) && leaf.CheckSignatureFrom(own) == nil {
		return true
	}
	for _, c := range s.cfg.ownCertificates() {
		if c.Equal(leaf) {
			return true
		}
		if c.IsCA && string(leaf.RawIssuer) == string(c.RawSubject) && leaf.CheckSignatureFrom(c) == nil {
			return true
		}
	}
	return false
}

// issued remembers certificates whose signature was made here, or was found to
// be: a device comes with its certificate as soon as it has it, and that is
// verified once. It says nothing about what became of them since.
type issued struct {
	mu            sync.Mutex
	recent, older map[digest]struct{} // guarded by mu; by the SHA-256 of the certificate
}

// maxIssued bounds each of the two generations.
const maxIssued = 4096

func (i *issued) has(name digest) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, recent := i.recent[name]
	_, older := i.older[name]
	return recent || older
}

func (i *issued) add(name digest) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.recent == nil || len(i.recent) >= maxIssued {
		i.recent, i.older = map[digest]struct{}{}, i.recent
	}
	i.recent[name] = struct{}{}
}

// identify judges the TLS client's certificate as an IDevID.
func (a *attempt) identify() error {
	leaf, err := a.leaf()
	if err != nil {
		return err
	}
	if a.s.ours(leaf) {
		a.nameByCertificate(leaf)
		return a.trail.Refuse(decision.OwnCertificate, "client-certificate", "the TLS client presented a certificate of this domain, of %q; a voucher needs the device's IDevID", leaf.Subject)
	}
	return a.identifyIDevID()
}

// maxSerial bounds serial numbers, in octets: keys of the database hold them. A
// serialNumber attribute has at most 64 characters (RFC 5280 appendix A.1).
const maxSerial = 512

// identifyIDevID finds the device whose IDevID the TLS client presented.
func (a *attempt) identifyIDevID() error {
	who, err := a.s.known.identify(a.r.Peer, a.s.makers.Load(), a.r.Now)
	if err != nil {
		return a.trail.Fail("client-certificate", decision.Of(err))
	}
	a.who, a.id = who, &who.ID
	a.trail.Pass("client-certificate", "IDevID of %s, manufacturer %s", who.ID, who.Manufacturer.Name)
	if len(who.Facts.KeyIdentifier) == 0 {
		a.trail.Pass("authority-key-identifier", "the IDevID has none; its issuer is told by its key (IEEE 802.1AR wants one)")
	}
	return nil
}

// identify is device.Identify for serial numbers that the database can hold, and
// for devices that no manufacturer passes off as another's.
func identify(chain []*x509.Certificate, all *makers, now time.Time) (*device.Identity, error) {
	who, err := device.Identify(chain[:min(len(chain), sign.MaxChain)], all.list, now)
	if err != nil {
		return nil, err
	}
	if n := len(who.ID.Serial); n > maxSerial {
		return nil, decision.Refuse(decision.NoSerialNumber, "the serial number in the IDevID has %d octets, the limit is %d", n, maxSerial)
	}
	if other := all.issuerOf(who); other != "" {
		return nil, decision.Refuse(decision.BadCertificate, "the IDevID of %q was issued by manufacturer %s and states the key identifier of a CA of manufacturer %s as its issuer's", chain[0].Subject, who.Manufacturer.Name, other)
	}
	return who, nil
}

// issuerOf returns the other manufacturer whose CA an IDevID states as its
// issuer, "" for none. The authority key identifier is part of a device's name,
// and it says what who issued the certificate wants it to say.
func (all *makers) issuerOf(who *device.Identity) string {
	issuer := who.Chain[min(1, len(who.Chain)-1)]
	for i := range all.list {
		m := &all.list[i]
		if m.Name == who.Manufacturer.Name {
			continue
		}
		for _, c := range slices.Concat(m.Anchors, m.Intermediates) {
			named := who.ID.IssuerKeyID == string(c.SubjectKeyId)
			if !named && len(who.ID.IssuerKeyID) == sha256.Size {
				sum := sha256.Sum256(c.RawSubjectPublicKeyInfo) // stands for a CA where devices have no AKI
				named = who.ID.IssuerKeyID == string(sum[:])
			}
			if named && !bytes.Equal(c.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
				return m.Name
			}
		}
	}
	return ""
}

// identities remembers what the IDevIDs that were verified last say: a device
// makes several requests while it joins, and its certificate stays the same. What
// is remembered holds for one state of the manufacturers, and while the
// certificates of the path are valid.
type identities struct {
	mu  sync.Mutex
	of  *makers                     // guarded by mu; whom they were verified by
	all map[digest]*device.Identity // guarded by mu; by the SHA-256 of the IDevID
}

// maxIdentities bounds them.
const maxIdentities = 1024

func (i *identities) identify(chain []*x509.Certificate, all *makers, now time.Time) (*device.Identity, error) {
	key := digest(sha256.Sum256(chain[0].Raw))
	if who := i.recall(key, all, now); who != nil {
		return who, nil
	}
	who, err := identify(chain, all, now)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.of != all || len(i.all) >= maxIdentities {
		i.of, i.all = all, map[digest]*device.Identity{}
	}
	i.all[key] = who
	return who, nil
}

func (i *identities) recall(key digest, all *makers, now time.Time) *device.Identity {
	i.mu.Lock()
	defer i.mu.Unlock()
	who := i.all[key]
	if who == nil || i.of != all {
		return nil
	}
	for _, c := range who.Chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return nil
		}
	}
	return who
}
