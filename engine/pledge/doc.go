// Package pledge is the device's side of BRSKI (RFC 8995): it takes a device
// out of its box into the domain of an owner it has never heard of, by a voucher
// of its maker, and gets it a certificate of that domain by EST (RFC 7030).
//
// # A device
//
// [New] takes a [Config]: the IDevID the maker gave the device, the anchors of
// the maker's vouchers, and what connects the device to the world, a [Network], a
// [Storage] and a [Clock]. [Pledge.Join] then goes from registrar to registrar
// until it has joined, and returns the certificate and key to work with.
// [Load] gives them again after a restart, [Renew] replaces them in time, and
// [Reset] puts the device back into factory state. Folder client of cmd/pledge
// has a Network over TLS, a Storage in a directory and the system's Clock.
//
// Where a goroutine that sleeps is not wanted, [Pledge.Start] and [Joining.Step] do
// the same step by step. Where only the decision about a voucher is wanted, it is
// [Pledge.Verify].
//
// # What is believed
//
// Until a voucher is verified, nothing the registrar sends is believed: not its
// TLS certificate, whose key it merely holds; not its redirects, of which one to
// another origin is followed; not its Retry-After, which counts up to a minute. A
// registrar that does not decide, or does not answer, holds the device up at no
// other registrar: several are asked at a time ([Joining]). What makes a registrar the device's own is a voucher signed under
// Config.VoucherAnchors, for this serial number and this nonce, that pins the TLS
// server met on this very connection, or an authority above it that says by
// id-kp-cmcRA that it is a registrar.
//
// From then on that server says what the domain's CA certificates are, as far as
// they belong to what is pinned, and what to ask for; the certificate that comes
// back must be for the key the device made, name the device, and chain to those.
//
// # What survives
//
// A join is durable when [State] is, in one write; a power cut before leaves a
// device in factory state, one after it a device that has joined. A key is durable
// before a request to certify it leaves. Renewal keeps the old key until the new
// certificate is durable. Everything else, such as the wait for a decision, begins
// anew.
//
// # Errors and records
//
// Whatever was decided against is a *[decision.Refusal] with a kind of package
// decision or of this one, and every attempt keeps its checks in order
// ([Attempt]). Telemetry carries a category of the refusal and no more.
//
// # Goroutines
//
// A Pledge and a Joining are for one goroutine at a time; [Pledge.Verify] is safe
// for concurrent use. Requests for vouchers are sent on goroutines of their own,
// which use the Network and the key of the IDevID and nothing else of the Config.
// None outlives [Pledge.Join], or the last Step of a Joining.
package pledge
