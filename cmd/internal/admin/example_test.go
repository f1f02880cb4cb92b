package admin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/vouchmill/vouchmill/cmd/internal/admin"
)

// api is what a role's server offers on its socket.
func api() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /customers/{name}", admin.Handle(func(r *http.Request) (any, error) {
		return nil, admin.Errorf(http.StatusNotFound, "no customer %q", r.PathValue("name")).With("list them with customers list")
	}))
	return mux
}

func Example() {
	ctx := context.Background()
	open := func() (http.Handler, io.Closer, error) { return api(), io.NopCloser(strings.NewReader("")), nil }
	c, done, err := admin.Client(ctx, "/nowhere/admin.sock", open)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer done()
	fmt.Println(admin.Get(ctx, c, "/customers/acme", nil))
	// Output: no customer "acme"; list them with customers list
}
