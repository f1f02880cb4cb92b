// Command masa is the Manufacturer Authorized Signing Authority of RFC 8995: it
// signs vouchers for the devices of a manufacturer when their registrars ask, and
// keeps the audit log of them.
//
//	masa init --dir masa --url https://masa.example.com:9443 --idevid-ca idevid-ca.pem
//	masa serve --config masa/masa.yaml
//	masa devices import devices.csv --config masa/masa.yaml
//
// The decisions are package engine/masa's; here is what listens, prints and reads
// files.
package main
