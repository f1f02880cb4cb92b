package web

import (
	"sync/atomic"

	"github.com/vouchmill/vouchmill/engine/decision"
)

// Stats are what a server counted since it was made.
type Stats struct {
	Connections        uint64                   `json:"connections"`         // accepted
	ConnectionsRefused uint64                   `json:"connections-refused"` // closed because a limit was reached
	HandshakesFailed   uint64                   `json:"handshakes-failed"`
	Answered           uint64                   `json:"answered"`         // requests with a result
	Refused            map[decision.Kind]uint64 `json:"refused"`          // requests without, by kind
	ClientsGone        uint64                   `json:"clients-gone"`     // requests whose client did not wait
	LinesSuppressed    uint64                   `json:"lines-suppressed"` // left out of the log
	InWork             int64                    `json:"in-work"`          // requests, now
	Open               int64                    `json:"open"`             // connections, now
}

// counters are Stats in the making.
type counters struct {
	connections, connectionsRefused, handshakesFailed, answered, clientsGone atomic.Uint64
	refused                                                                  map[decision.Kind]*atomic.Uint64 // never changed
}

func newCounters() *counters {
	c := &counters{refused: map[decision.Kind]*atomic.Uint64{}}
	for _, k := range decision.Kinds() {
		c.refused[k] = new(atomic.Uint64)
	}
	return c
}

func (c *counters) refuse(k decision.Kind) {
	n, ok := c.refused[k]
	if !ok {
		n = c.refused[decision.Internal]
	}
	n.Add(1)
}

// Stats returns what was counted so far.
func (s *Server) Stats() Stats {
	c := s.counters
	st := Stats{
		Connections: c.connections.Load(), ConnectionsRefused: c.connectionsRefused.Load(), HandshakesFailed: c.handshakesFailed.Load(),
		Answered: c.answered.Load(), ClientsGone: c.clientsGone.Load(), LinesSuppressed: s.journal.suppressed.Load(),
		Refused: map[decision.Kind]uint64{}, InWork: int64(len(s.work)), Open: s.census.open(),
	}
	for k, n := range c.refused {
		if n := n.Load(); n > 0 {
			st.Refused[k] = n
		}
	}
	return st
}
