// Package registrar is the registrar of RFC 8995 without a transport: which
// devices may join a domain, what their manufacturer's MASA says about them, and
// which certificates they get (EST, RFC 7030).
//
// [New] makes a [Service] of a [Config]. A transport turns requests into
// exchange.Request values, calls the method of the path, and turns what comes
// back into its own: an exchange.Answer, or a *decision.Refusal whose Kind it has
// a status for:
//
//	requestvoucher  Service.RequestVoucher     cacerts         Service.CACerts
//	voucher_status  Service.VoucherStatus      csrattrs        Service.CSRAttrs
//	enrollstatus    Service.EnrollStatus       simpleenroll    Service.SimpleEnroll
//	                                           simplereenroll  Service.SimpleReenroll
//
// [Service.CRL] serves the revocation list. Operators have
// [Service.AddManufacturer], [Service.ImportDevices], [Service.ListDevices],
// [Service.ShowDevice], [Service.Approve], [Service.Refuse], [Service.Revoke],
// [Service.Status] and [Service.Explain], which shows every check of a device's
// last attempts in the order they were made.
//
// # Trust
//
// Devices are believed as far as a configured manufacturer's anchors vouch for
// their IDevIDs, and by nothing they say themselves: serial numbers, idevid-issuer
// and MASA URL are read from the IDevID after it verified. A manufacturer is
// believed about its own devices alone: a row of a list that names one by issuer
// and serial number, both of which another could state too, admits no other's, see
// [Service.ImportDevices]. MASAs are believed
// about vouchers as far as the manufacturer's voucher-trust goes; a voucher is
// checked for device, nonce and pin before it is passed on, octet for octet.
// Whoever gets a certificate was answered with a voucher for the key of the
// IDevID, and the device's audit log was in order. Where the manufacturer's entry
// has the keys of the log, what the MASA shows of it must be proven, and a log that
// takes back what it once proved is a reason against a device. Telemetry decides
// nothing.
//
// The database is believed: who can write to it can admit devices. It holds no
// keys. The network of [Config] must keep the duties that [Network] lists.
//
// # Durability
//
// Each change of state is one transaction, and durable before it is answered. A
// pledge or an EST client whose answer was lost asks again with the same octets
// and gets an equivalent one, over a crash too: the voucher that was stored; the
// same request to the MASA, which answers it again; the certificate that was
// recorded. No certificate leaves that is not on record.
//
// # Concurrency and bounds
//
// A Service is safe for concurrent use. It runs at most Config.MaxExchanges
// goroutines, one for each exchange with a MASA, until [Service.Close]. What it
// keeps in memory and what it keeps of each device has a bound; clients are
// limited by the key they proved to hold. Connections, handshakes and addresses
// are the transport's to limit.
package registrar
