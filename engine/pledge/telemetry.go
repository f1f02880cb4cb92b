package pledge

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"strconv"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// status is a status message (RFC 8995 §5.7, §5.9.4; keys are lower case,
// erratum 6834).
type status struct {
	Version int    `json:"version"`
	Status  bool   `json:"status"`
	Reason  string `json:"reason,omitempty"`
}

// statusOperation is a status message to send. A refusal of nil reports success.
func statusOperation(name string, failure *decision.Refusal) *operation {
	message := status{Version: 1, Status: failure == nil}
	if failure != nil {
		message.Reason = reason(failure)
	}
	return &operation{name: name, method: "POST", path: pathBRSKI + name, contentType: exchange.TypeJSON, accept: "*/*", max: exchange.MaxTelemetry,
		body: func([]*x509.Certificate) ([]byte, error) { return json.Marshal(message) }}
}

// noteStatus notes what came of a status message: no more depends on telemetry.
func noteStatus(trail *decision.Trail, name string, success bool, reply *Reply, err error) {
	if err != nil {
		trail.Pass(name, "%v, not delivered: %v", success, err)
		return
	}
	trail.Pass(name, "%v, answered %d", success, reply.Status)
}

// report sends a status message over the session's connection, and notes in the
// trail what came of it.
func report(ctx context.Context, s *session, name string, failure *decision.Refusal, trail *decision.Trail) {
	reply, err := s.send(ctx, statusOperation(name, failure))
	noteStatus(trail, name, failure == nil, reply, err)
}

// quote makes text of others fit for one line.
func quote(text string) string { return strconv.QuoteToASCII(text) }
