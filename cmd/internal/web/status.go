package web

import (
	"net/http"
	"time"

	"github.com/vouchmill/vouchmill/engine/decision"
)

// statuses is the one table from reasons to statuses: RFC 8995 §5.6 and §5.9,
// RFC 7030 §4.2.3, and where those leave it open what tells a client best whose
// turn it is.
var statuses = map[decision.Kind]int{
	decision.UnknownPath:     http.StatusNotFound,
	decision.WrongMethod:     http.StatusMethodNotAllowed,
	decision.NoCertificate:   http.StatusUnauthorized,
	decision.BadCertificate:  http.StatusNotFound, // RFC 8995 §5.3: if validation fails, SHOULD be 404
	decision.ContentType:     http.StatusUnsupportedMediaType,
	decision.NotAcceptable:   http.StatusNotAcceptable,
	decision.Empty:           http.StatusBadRequest,
	decision.TooLarge:        http.StatusRequestEntityTooLarge,
	decision.Wrapped:         http.StatusBadRequest,
	decision.Malformed:       http.StatusBadRequest,
	decision.SeveralSigners:  http.StatusBadRequest,
	decision.BadSignature:    http.StatusForbidden,
	decision.BadPayload:      http.StatusBadRequest,
	decision.BadNonce:        http.StatusBadRequest,
	decision.Pending:         http.StatusAccepted,
	decision.RateLimited:     http.StatusTooManyRequests,
	decision.Overloaded:      http.StatusServiceUnavailable,
	decision.StorageFull:     http.StatusServiceUnavailable,
	decision.Internal:        http.StatusInternalServerError,
	decision.Incomplete:      http.StatusRequestTimeout,
	decision.ChannelBinding:  http.StatusBadRequest,
	decision.UnsupportedForm: http.StatusBadRequest,

	decision.UnknownManufacturer: http.StatusForbidden, // an administrator could add it: MAY be 403
	decision.NoSerialNumber:      http.StatusForbidden,
	decision.OwnCertificate:      http.StatusForbidden,
	decision.SignerNotPeer:       http.StatusForbidden,
	decision.SerialMismatch:      http.StatusForbidden,
	decision.DeviceNotListed:     http.StatusNotFound,
	decision.DeviceRefused:       http.StatusNotFound,
	decision.UnknownDevice:       http.StatusNotFound,
	decision.AmbiguousDevice:     http.StatusNotFound,
	decision.IssuerMismatch:      http.StatusForbidden,
	decision.StaleRequest:        http.StatusForbidden,

	decision.WrongProximity:     http.StatusUnauthorized, // RFC 8995 §5.5.5, without WWW-Authenticate
	decision.ChainInconsistent:  http.StatusForbidden,
	decision.NotRegistrar:       http.StatusForbidden,
	decision.PriorSignature:     http.StatusForbidden,
	decision.PriorMismatch:      http.StatusForbidden,
	decision.ProximityNotInPath: http.StatusForbidden,
	decision.NonceMismatch:      http.StatusForbidden,
	decision.NoncelessUnknown:   http.StatusForbidden,
	decision.NoncelessForbidden: http.StatusForbidden,
	decision.ForbiddenLeaf:      http.StatusBadRequest,
	decision.PinExpires:         http.StatusForbidden,
	decision.OwnedByOther:       http.StatusForbidden,
	decision.NeverOwner:         http.StatusNotFound,

	decision.NoMASA:            http.StatusNotFound,
	decision.MASAAddress:       http.StatusNotFound,
	decision.MASAUnreachable:   http.StatusBadGateway,
	decision.MASATimeout:       http.StatusGatewayTimeout,
	decision.MASAUnavailable:   http.StatusServiceUnavailable,
	decision.MASAUnauthorized:  http.StatusBadGateway, // ours to mend, not the pledge's
	decision.MASAForbids:       http.StatusForbidden,
	decision.MASAUnknownDevice: http.StatusNotFound,
	decision.MASANotAcceptable: http.StatusNotAcceptable,
	decision.MASAContentType:   http.StatusUnsupportedMediaType,
	decision.MASAFailed:        http.StatusBadGateway,
	decision.VoucherMismatch:   http.StatusBadGateway,
	decision.AuditRefused:      http.StatusNotAcceptable, // RFC 8995 §5.6: inventory control or audit log

	decision.NoVoucher:       http.StatusForbidden,
	decision.CSRMalformed:    http.StatusBadRequest,
	decision.CSRSignature:    http.StatusBadRequest,
	decision.CSRPolicy:       http.StatusForbidden,
	decision.SubjectChanged:  http.StatusForbidden,
	decision.KeyReused:       http.StatusForbidden,
	decision.NotEnrolled:     http.StatusForbidden,
	decision.CertificateGone: http.StatusForbidden,
	decision.BadTelemetry:    http.StatusBadRequest,
}

// Status returns the status code that a refusal of this kind is answered with.
// One that the table does not know is a fault of this program: 500.
func Status(kind decision.Kind) int {
	if code, ok := statuses[kind]; ok {
		return code
	}
	return http.StatusInternalServerError
}

// defaultRetry is what Retry-After says where a refusal that has to carry one
// names no time (RFC 8995 §5.6, RFC 7030 §4.2.3: 202 MUST have it).
const defaultRetry = 30 * time.Second

// retryAfter is what Retry-After says, in whole seconds; 0 for no such field.
func retryAfter(r *decision.Refusal, status int) int64 {
	after := r.RetryAfter
	if after <= 0 {
		switch status {
		case http.StatusAccepted, http.StatusTooManyRequests, http.StatusServiceUnavailable:
			after = defaultRetry
		default:
			return 0
		}
	}
	return int64((after + time.Second - 1) / time.Second)
}
