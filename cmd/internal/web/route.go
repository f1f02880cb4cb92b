package web

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vouchmill/vouchmill/engine/decision"
	"github.com/vouchmill/vouchmill/engine/exchange"
)

// A Handler is one operation of a role. Every error that is not a
// *decision.Refusal is answered as a fault of this side. The request's body
// belongs to the handler.
type Handler func(ctx context.Context, r *exchange.Request) (*exchange.Answer, error)

// The trees of paths (RFC 8995 §8.3.1, RFC 7030 §3.2.2).
const (
	BRSKI = "/.well-known/brski/"
	EST   = "/.well-known/est/"
)

// A Route is one operation and where it is found.
type Route struct {
	// Method is GET or POST.
	Method string
	// Path is compared octet by octet. One below [EST] is found with a label in
	// between as well (RFC 7030 §3.2.2), which the role gets to judge.
	Path string
	// MaxBody is the longest body in octets; 0 for none at all.
	MaxBody int
	// Handle is the operation.
	Handle Handler
}

// estOperations are no labels (RFC 7030 §3.2.2), whether served here or not.
var estOperations = []string{"cacerts", "csrattrs", "simpleenroll", "simplereenroll", "serverkeygen", "fullcmc"}

// maxLabel bounds an EST label, in octets.
const maxLabel = 64

// routes are all operations by path.
type routes map[string][]*Route

func newRoutes(list []Route) (routes, error) {
	all := routes{}
	for i := range list {
		r := &list[i]
		if r.Method == "" || !strings.HasPrefix(r.Path, "/") || r.Handle == nil || r.MaxBody < 0 {
			return nil, fmt.Errorf("web: the route %s %q is not complete", r.Method, r.Path)
		}
		if slices.ContainsFunc(all[r.Path], func(o *Route) bool { return o.Method == r.Method }) {
			return nil, fmt.Errorf("web: the route %s %q comes twice", r.Method, r.Path)
		}
		all[r.Path] = append(all[r.Path], r)
	}
	return all, nil
}

// find returns the operation and the EST label. The refusal is of kind
// UnknownPath, or of kind WrongMethod and allow then lists the methods.
func (rs routes) find(method, path string) (r *Route, label, allow string, err error) {
	found := rs[path]
	if len(found) == 0 {
		if label, path = unlabel(path); label != "" {
			found = rs[path]
		}
	}
	if len(found) == 0 {
		return nil, "", "", decision.Refuse(decision.UnknownPath, "nothing is served there")
	}
	var methods []string
	for _, r := range found {
		if r.Method == method {
			return r, label, "", nil
		}
		methods = append(methods, r.Method)
	}
	allow = strings.Join(methods, ", ")
	return nil, "", allow, decision.Refuse(decision.WrongMethod, "the method is %.20q, want %s", method, allow)
}

// unlabel takes the label out of an EST path; without one, the label is "".
func unlabel(path string) (label, plain string) {
	rest, ok := strings.CutPrefix(path, EST)
	if !ok {
		return "", path
	}
	label, operation, ok := strings.Cut(rest, "/")
	if !ok || label == "" || len(label) > maxLabel || slices.Contains(estOperations, label) || strings.Contains(operation, "/") {
		return "", path
	}
	return label, EST + operation
}
