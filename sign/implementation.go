package sign

import (
	"crypto"
	"os"
	"slices"
	"strings"
	"sync"
)

// ImplEnv is the environment variable that names the implementation to be used
// wherever it knows the algorithm; read once.
const ImplEnv = "VOUCHMILL_SIGN_IMPL"

// implementation is one way to compute signatures. A faster one enters here,
// by a row in the table, and nothing else changes.
type implementation struct {
	name string
	// available reports whether this machine can run it.
	available func() bool
	// signs reports whether it signs by this algorithm with this key.
	signs func(*Algorithm, crypto.Signer) bool
	// newSigner is called only after signs said yes.
	newSigner func(*Algorithm, crypto.Signer, Options) (Signer, error)
	// newVerifier is nil where the implementation only signs. Its verifier
	// takes every algorithm of the registry.
	newVerifier func() Verifier
}

// implementations is the table, fastest first. stdImplementation does
// everything; what comes after it is used only where it is named.
var implementations = []implementation{wideImplementation, portableImplementation, stdImplementation, ed25519BatchImplementation}

// present is the part of the table this machine can run, found once: what the
// processor can do does not change while we run.
var present = sync.OnceValue(func() []implementation {
	var list []implementation
	for _, impl := range implementations {
		if impl.available() {
			list = append(list, impl)
		}
	}
	return list
})

// fromEnvironment is the value of ImplEnv when it was first asked for.
var fromEnvironment = sync.OnceValue(func() string { return os.Getenv(ImplEnv) })

// Implementations names what can sign by this algorithm with this key here,
// best first, the environment left aside: the values of [Options.Impl].
func Implementations(alg *Algorithm, key crypto.Signer) []string {
	var names []string
	for _, impl := range present() {
		if impl.signs(alg, key) {
			names = append(names, impl.name)
		}
	}
	return names
}

// chooseImplementation takes the forced implementation or fails; the one from
// the environment if it does this algorithm; else the best.
func chooseImplementation(forced string, alg *Algorithm, key crypto.Signer) (*implementation, error) {
	names := Implementations(alg, key)
	name := forced
	if name == "" {
		if env := fromEnvironment(); env != "" {
			if !isImplementation(env) {
				return nil, &UsageError{Reason: ImplEnv + "=" + env + " names no implementation; known are " + knownImplementations()}
			}
			if slices.Contains(names, env) {
				name = env
			}
		}
	}
	for i, impl := range present() {
		if impl.signs(alg, key) && (name == "" || name == impl.name) {
			return &present()[i], nil
		}
	}
	return nil, &UsageError{Reason: "implementation " + name + " cannot sign " + alg.Name + " with this key on this machine; it can be " + strings.Join(names, ", ")}
}

func isImplementation(name string) bool {
	return slices.ContainsFunc(implementations, func(i implementation) bool { return i.name == name })
}

func knownImplementations() string {
	var names []string
	for _, impl := range implementations {
		names = append(names, impl.name)
	}
	return strings.Join(names, ", ")
}

// chooseVerifier does for verifiers what chooseImplementation does for signers.
func chooseVerifier(forced string) (Verifier, error) {
	name := forced
	if name == "" {
		name = fromEnvironment()
		if name != "" && !isImplementation(name) {
			return nil, &UsageError{Reason: ImplEnv + "=" + name + " names no implementation; known are " + knownImplementations()}
		}
	}
	var best *implementation
	for i, impl := range present() {
		if impl.newVerifier == nil {
			continue
		}
		if impl.name == name {
			return impl.newVerifier(), nil
		}
		if best == nil {
			best = &present()[i]
		}
	}
	if forced != "" {
		return nil, &UsageError{Reason: "implementation " + forced + " has no verifier on this machine"}
	}
	return best.newVerifier(), nil
}

// VerifierImplementations names what can verify here, best first: the values
// of [VerifierOptions.Impl].
func VerifierImplementations() []string {
	var names []string
	for _, impl := range present() {
		if impl.newVerifier != nil {
			names = append(names, impl.name)
		}
	}
	return names
}
