package exchange

import (
	"crypto/x509"
	"time"
)

// A Request is one request to a role. The role does not change it, and keeps
// nothing of it beyond the call without copying.
type Request struct {
	// ID names the request in logs.
	ID string
	// Now is the time of the request.
	Now time.Time
	// Remote is the client's address, for logs alone.
	Remote string
	// Peer is the certificate list of the TLS client, its own first. The client
	// has proved that it holds the key of Peer[0]; nothing else about the list
	// was checked. It is empty where the client presented none.
	Peer []*x509.Certificate
	// Binding names the TLS connection.
	Binding Binding
	// Label is the path segment of EST between "est" and the operation, "" for
	// none (RFC 7030 §3.2.2).
	Label string
	// ContentType and Accept are the header fields as sent, "" where absent.
	ContentType, Accept string
	// Body is the whole body, at most the limit of the operation long.
	Body []byte
}

// A Binding holds the channel bindings of a connection: Unique is tls-unique of
// the first handshake (RFC 5929 §3, TLS 1.2), Exporter tls-exporter (RFC 9266).
// One that is not to be had is nil.
type Binding struct{ Unique, Exporter []byte }

// An Answer is what a role answers when it does not refuse.
type Answer struct {
	// ContentType of the body, "" where there is none.
	ContentType string
	// Body is not changed by the role any more.
	Body []byte
}

// Body limits in octets (the sizes RFC 8995 leaves open): transports stop
// reading there, roles check again.
const (
	MaxPledgeRequest    = 64 << 10  // a pledge's voucher-request, and a voucher
	MaxRegistrarRequest = 256 << 10 // a registrar's voucher-request, which may hold a pledge's
	MaxEST              = 128 << 10
	MaxCSR              = 16 << 10 // a certificate request, DER
	MaxTelemetry        = 16 << 10
	MaxAuditLog         = 1 << 20
)

// Media types of BRSKI and EST beside those of the vouchers
// (codec.Format.MediaType).
const (
	TypeJSON      = "application/json"
	TypePKCS10    = "application/pkcs10"                            // RFC 7030 §4.2.1
	TypeCertsOnly = "application/pkcs7-mime; smime-type=certs-only" // RFC 7030 §4.2.3
	TypePKCS7     = "application/pkcs7-mime"                        // RFC 7030 §4.1.3
	TypeCSRAttrs  = "application/csrattrs"                          // RFC 7030 §4.5.2
	TypeCRL       = "application/pkix-crl"                          // RFC 2585 §4.2
)
