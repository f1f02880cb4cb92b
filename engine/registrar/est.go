package registrar

import (
	"context"

	"github.com/vouchmill/vouchmill/codec/est"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// domainOf finds the application domain of a request.
func (s *Service) domainOf(r *exchange.Request) (*domain, error) {
	d := s.domains[r.Label]
	if d == nil {
		return nil, decision.Refuse(decision.UnknownPath, "no application domain has the label %.80q", r.Label)
	}
	return d, nil
}

// CACerts answers with the domain's CA certificates (RFC 7030 §4.1). It needs no
// client certificate. The error is a *decision.Refusal.
func (s *Service) CACerts(_ context.Context, r *exchange.Request) (*exchange.Answer, error) {
	if _, err := s.domainOf(r); err != nil {
		return nil, err
	}
	if !artefact.Accepts(r.Accept, exchange.TypePKCS7) {
		return nil, decision.Refuse(decision.NotAcceptable, "Accept is %.200q, which does not admit %s", r.Accept, exchange.TypePKCS7)
	}
	return answered(exchange.TypeCertsOnly, s.caCerts), nil
}

// CSRAttrs answers with what certificate requests of a domain must have (RFC
// 7030 §4.5): a template (RFC 9908 §3.4), and for older clients a list beside it.
// It needs no client certificate. The error is a *decision.Refusal.
func (s *Service) CSRAttrs(_ context.Context, r *exchange.Request) (*exchange.Answer, error) {
	d, err := s.domainOf(r)
	if err != nil {
		return nil, err
	}
	if !artefact.Accepts(r.Accept, exchange.TypeCSRAttrs) {
		return nil, decision.Refuse(decision.NotAcceptable, "Accept is %.200q, which does not admit %s", r.Accept, exchange.TypeCSRAttrs)
	}
	return answered(exchange.TypeCSRAttrs, d.body), nil
}

// certificateAnswer is an issued certificate as EST sends it: alone in a
// certs-only message (RFC 7030 §4.2.3).
func certificateAnswer(der []byte) (*exchange.Answer, error) {
	message, err := est.AppendCertsOnly(nil, [][]byte{der})
	if err != nil {
		return nil, decision.Refuse(decision.Internal, "%w", err)
	}
	return answered(exchange.TypeCertsOnly, est.AppendBody(nil, message)), nil
}
