package sign

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// MaxChain is how many certificates a chain may have.
const MaxChain = 16

// ChainError says which certificate of a chain is wrong, and how.
type ChainError struct {
	Index  int // position in the file, from 0; -1 for the chain as a whole
	Reason string
	Err    error // cause, may be nil
}

// Error numbers certificates from 1, as people do.
func (e *ChainError) Error() string {
	text := "sign: certificate chain: "
	if e.Index >= 0 {
		text += fmt.Sprintf("certificate %d: ", e.Index+1)
	}
	text += e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *ChainError) Unwrap() error { return e.Err }

// LoadChain reads the certificates of a PEM text, the signer's first, and
// checks that each is issued by the next: name, signature and the right to
// issue. Blocks of other types, such as keys, are passed over. Validity periods
// are not looked at. The error is a [*ChainError].
func LoadChain(text []byte) ([]*x509.Certificate, error) {
	chain, err := LoadCertificates(text)
	if err != nil {
		return nil, err
	}
	for i, cert := range chain[:len(chain)-1] {
		if err := checkIssued(cert, chain[i+1]); err != nil {
			return nil, explainOrder(chain, i, err)
		}
	}
	return chain, nil
}

// LoadCertificates reads the certificates of a PEM text, at least one, in
// their order and without any relation between them: trust anchors. The error
// is a [*ChainError].
func LoadCertificates(text []byte) ([]*x509.Certificate, error) {
	if len(text) > MaxPEMBytes {
		return nil, &ChainError{Index: -1, Reason: fmt.Sprintf("the file has more than %d octets", MaxPEMBytes)}
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if len(certs) == MaxChain {
			return nil, &ChainError{Index: -1, Reason: fmt.Sprintf("more than %d certificates", MaxChain)}
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &ChainError{Index: len(certs), Reason: "not understood", Err: err}
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, &ChainError{Index: -1, Reason: "there is no PEM block of type CERTIFICATE; DER certificates are made PEM by openssl x509 -inform DER"}
	}
	return certs, nil
}

// checkIssued checks that issuer issued cert.
func checkIssued(cert, issuer *x509.Certificate) error {
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("its issuer %q is not the next one's subject %q", cert.Issuer, issuer.Subject)
	}
	return CheckSignatureFrom(cert, issuer)
}

// explainOrder tells a chain in the wrong order from a wrong chain: if some
// other certificate of the file is the issuer, the order is what is wrong.
func explainOrder(chain []*x509.Certificate, i int, cause error) error {
	for j, candidate := range chain {
		if j != i && j != i+1 && checkIssued(chain[i], candidate) == nil {
			return &ChainError{Index: i, Reason: fmt.Sprintf("its issuer comes as certificate %d; put the signer first, then each one's issuer", j+1), Err: cause}
		}
	}
	if checkIssued(chain[i+1], chain[i]) == nil {
		return &ChainError{Index: i, Reason: "it comes before the certificate it issued; put the signer first, then each one's issuer", Err: cause}
	}
	return &ChainError{Index: i, Reason: fmt.Sprintf("it was not issued by certificate %d; remove what does not belong to the chain", i+2), Err: cause}
}
