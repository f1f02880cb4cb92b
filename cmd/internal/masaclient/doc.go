// Package masaclient carries a registrar's calls to MASAs over HTTPS.
//
//	network := masaclient.New(masaclient.Config{Certificate: certificate.Get})
//	s, err := registrar.New(registrar.Config{Network: network, ...})
//
// A call ends at a server whose certificate leads to the call's anchors and
// names the URL's host, or nowhere. Which host that is may have been the
// device's to choose (RFC 8995 §2.3.2). So where no anchors are given, and the
// operating system's count, every address is judged when it is dialled, behind
// all name resolution: what lies on this machine, in its site or at a cloud's
// metadata service is not called, unless the operator named the host.
//
// Redirects are not followed, cookies not kept, proxies of the environment not
// used, and bodies not read beyond the call's limit. The registrar's certificate
// is presented to whoever asks for one (RFC 8995 §5.4). A Client is safe for
// concurrent use; Close gives its idle connections back.
package masaclient
