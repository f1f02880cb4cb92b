package pledge

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/vouchmill/vouchmill/engine/decision"
)

// status is a status message (RFC 8995 §5.7, §5.9.4; keys are lower case,
// erratum 6834).
type status struct {
	Version int    `json:"version"`
	Status  bool   `json:"status"`
	Reason  string `json:"reason,omitempty"`
}

// report sends a status message over the session's connection, and notes in
// the trail what came of it: no more depends on telemetry. A refusal of nil
// reports success.
func report(ctx context.Context, s *session, name string, failure *decision.Refusal, trail *decision.Trail) {
	message := status{Version: 1, Status: failure == nil}
	if failure != nil {
		message.Reason = reason(failure)
	}
	body, err := json.Marshal(message)
	if err != nil {
		trail.Pass(name, "not sent: %v", err)
		return
	}
	reply, err := s.send(ctx, postJSON(name, pathBRSKI+name, body))
	if err != nil {
		trail.Pass(name, "%v, not delivered: %v", message.Status, err)
		return
	}
	trail.Pass(name, "%v, answered %d", message.Status, reply.Status)
}

// quote makes text of others fit for one line.
func quote(text string) string { return strconv.QuoteToASCII(text) }
