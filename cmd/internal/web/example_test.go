package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/vouchmill/vouchmill/cmd/internal/web"
	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

func Example() {
	s, err := web.New(web.Config{Routes: []web.Route{{
		Method: http.MethodPost, Path: web.BRSKI + "requestvoucher", MaxBody: exchange.MaxPledgeRequest,
		Handle: func(context.Context, *exchange.Request) (*exchange.Answer, error) {
			return nil, decision.Refuse(decision.NoCertificate, "no IDevID was presented")
		},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder() // Server.Run serves over TLS
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, web.BRSKI+"requestvoucher", strings.NewReader("")))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 401 a client certificate is required
}
