package registrar

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A masa is the service of a device's manufacturer.
type masa struct {
	base   string // URL that operations hang under
	origin string
	trust  *MASATrust
	maker  *Manufacturer
}

// masaOf finds the MASA of a device: the manufacturer's setting, else what the
// IDevID states, which has verified before (RFC 8995 §2.3.2).
func (s *Service) masaOf(maker *Manufacturer, facts *codec.IDevID) (*masa, error) {
	value, from := maker.MASAURL, "the setting of manufacturer "+maker.Name
	if value == "" {
		value, from = facts.MASAURL, "the IDevID"
	}
	if value == "" {
		return nil, decision.Refuse(decision.NoMASA, "neither the IDevID nor the entry of manufacturer %s names a MASA; set the manufacturer's masa-url", maker.Name)
	}
	base, err := MASABase(value)
	if err != nil {
		return nil, decision.Refuse(decision.NoMASA, "%s: %w; set the manufacturer's masa-url", from, err)
	}
	return &masa{base: base, origin: originOf(base), maker: maker, trust: &MASATrust{Anchors: maker.MASATrust, Hosts: s.cfg.MASAHosts}}, nil
}

// call makes one call, repeats it once where no connection came about, and
// keeps the breaker of the MASA. Calls of one exchange share a context that ends
// with errTimeout. The error is a *decision.Refusal.
func (s *Service) call(ctx context.Context, m *masa, c *Call) (*Reply, error) {
	c.Trust = m.trust
	if ok, wait := s.breakers.allow(m.origin, s.cfg.Clock()); !ok {
		return nil, decision.Refuse(decision.MASAUnavailable, "the MASA at %s failed %d times in a row; it is called again in %s", m.origin, breakAfter, wait.Round(time.Second)).After(wait)
	}
	reply, err := s.cfg.Network.Do(ctx, c)
	var failed *NetworkError
	if errors.As(err, &failed) && !failed.Connected && !failed.Timeout && !failed.Address && ctx.Err() == nil {
		reply, err = s.cfg.Network.Do(ctx, c)
	}
	if err == nil && reply == nil {
		err = errors.New("the network gave no reply")
	}
	s.breakers.done(m.origin, err == nil && reply.Status < 500, s.cfg.Clock())
	if err != nil {
		return nil, refuseNetwork(ctx, m, err)
	}
	return reply, nil
}

func refuseNetwork(ctx context.Context, m *masa, err error) error {
	var failed *NetworkError
	errors.As(err, &failed)
	switch {
	case errors.Is(context.Cause(ctx), errClosing):
		return decision.Refuse(decision.Overloaded, "%w", errClosing).After(pendingRetry)
	case failed != nil && failed.Address:
		return decision.Refuse(decision.MASAAddress, "the MASA at %s: %w; allow the host in masa-hosts, or give the manufacturer its masa-trust, if it is the right one", m.origin, err)
	case errors.Is(context.Cause(ctx), errTimeout), failed != nil && failed.Timeout:
		return decision.Refuse(decision.MASATimeout, "the MASA at %s: %w", m.origin, err)
	}
	return decision.Refuse(decision.MASAUnreachable, "the MASA at %s: %w", m.origin, err)
}

// askVoucher sends a registrar's request and returns the voucher as it came.
func (s *Service) askVoucher(ctx context.Context, m *masa, p *pledgeRequest, request []byte) (codec.Format, []byte, error) {
	reply, err := s.call(ctx, m, &Call{Method: "POST", URL: m.base + "/requestvoucher", ContentType: p.format.MediaType(),
		Accept: acceptField(p.accept), Body: request, MaxBody: exchange.MaxPledgeRequest})
	if err != nil {
		return codec.FormatUnknown, nil, err
	}
	if err := refuseStatus(m, reply); err != nil {
		return codec.FormatUnknown, nil, err
	}
	format, err := artefact.FormatOf(reply.ContentType, p.accept...)
	switch {
	case err != nil:
		return format, nil, decision.Refuse(decision.MASAFailed, "the MASA at %s answered with Content-Type %.100q, which the pledge does not take", m.origin, reply.ContentType)
	case len(reply.Body) > exchange.MaxPledgeRequest:
		return format, nil, decision.Refuse(decision.MASAFailed, "the MASA at %s answered with more than %d octets, too many for a voucher", m.origin, exchange.MaxPledgeRequest)
	}
	return format, reply.Body, nil
}

// acceptField lists media types, the first preferred.
func acceptField(formats []codec.Format) string {
	var b strings.Builder
	for i, f := range formats {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.MediaType())
		if i > 0 {
			b.WriteString(";q=0.5")
		}
	}
	return b.String()
}

// refuseStatus says what an answer of a MASA other than 200 means to a pledge
// (RFC 8995 §5.6). The MASA's text is for the operator.
func refuseStatus(m *masa, r *Reply) error {
	if r.Status == 200 {
		return nil
	}
	text := clip(string(r.Body), 200)
	switch kind, ok := masaStatus[r.Status]; {
	case ok:
		return decision.Refuse(kind, "the MASA at %s answered %d: %q", m.origin, r.Status, text)
	case r.Status == 202:
		return decision.Refuse(decision.Pending, "the MASA at %s has not decided yet", m.origin).After(retryAfter(r, pendingRetry))
	case r.Status == 429, r.Status == 503 && r.RetryAfter > 0:
		return decision.Refuse(decision.MASAUnavailable, "the MASA at %s answered %d: %q", m.origin, r.Status, text).After(retryAfter(r, pendingRetry))
	case r.Status >= 300 && r.Status < 400:
		return decision.Refuse(decision.MASAFailed, "the MASA at %s answered %d and leads to %.200q; redirects are not followed, set the manufacturer's masa-url to where it is", m.origin, r.Status, r.Location)
	}
	return decision.Refuse(decision.MASAFailed, "the MASA at %s answered %d: %q", m.origin, r.Status, text)
}

// masaStatus is what the statuses of refusals mean.
var masaStatus = map[int]decision.Kind{401: decision.MASAUnauthorized, 403: decision.MASAForbids, 404: decision.MASAUnknownDevice,
	406: decision.MASANotAcceptable, 415: decision.MASAContentType}

// retryAfter is what an answer states, from a second to an hour.
func retryAfter(r *Reply, unstated time.Duration) time.Duration {
	if r.RetryAfter <= 0 {
		return unstated
	}
	return min(max(r.RetryAfter, time.Second), time.Hour)
}

// clip shortens what others sent.
func clip(text string, most int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
