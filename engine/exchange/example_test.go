package exchange_test

import (
	"fmt"

	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A role is a function from requests to answers; a test needs no server.
func Example() {
	role := func(r *exchange.Request) *exchange.Answer {
		return &exchange.Answer{ContentType: exchange.TypeJSON, Body: fmt.Appendf(nil, `{"octets":%d}`, len(r.Body))}
	}
	answer := role(&exchange.Request{ID: "1", ContentType: exchange.TypePKCS10, Body: []byte("MIIB")})
	fmt.Println(answer.ContentType, string(answer.Body))
	// Output: application/json {"octets":4}
}
