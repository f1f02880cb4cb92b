package masa_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/artefact"
	"github.com/vouchmill/vouchmill/engine/audit"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/engine/device"
	"github.com/vouchmill/vouchmill/engine/exchange"
	"github.com/vouchmill/vouchmill/engine/list"
	"github.com/vouchmill/vouchmill/engine/masa"
	"github.com/vouchmill/vouchmill/engine/state"
	"github.com/vouchmill/vouchmill/sign"
)

// A registrar asks for a device that has seen it.
func Example() {
	ctx, now := context.Background(), time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	maker, domain := exampleCA("Maker CA", now), exampleCA("Domain CA", now)

	// The device, the registrar and the MASA's voucher signer.
	deviceKey, registrarKey, voucherKey := exampleKey(), exampleKey(), exampleKey()
	idevid := try(maker.IDevID(ca.IDevIDParams{SerialNumber: "SN-1", PublicKey: deviceKey.Public(), NotBefore: now}))
	entity := ca.EntityParams{CommonName: "Registrar", PublicKey: registrarKey.Public(), NotBefore: now, NotAfter: now.AddDate(1, 0, 0), Names: ca.ServerNames{DNS: []string{"registrar.example.com"}}}
	registrar := try(domain.Registrar(entity))
	signer := try(maker.VoucherSigner(ca.EntityParams{CommonName: "MASA", PublicKey: voucherKey.Public(), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}))

	logKey, _, err := audit.GenerateKey(rand.Reader, "masa.example.com/log")
	check(err)
	service := try(masa.New(masa.Config{
		DB:            state.NewMemory(),
		Log:           try(audit.New(try(audit.NewSigner(logKey)), rand.Reader)),
		Verifier:      artefact.Verifying(try(sign.NewVerifier(sign.VerifierOptions{}))),
		Signer:        artefact.Signing(try(sign.NewSigner(sign.ES256, voucherKey, sign.Options{}))),
		Chain:         []*x509.Certificate{signer, maker.Certificate()},
		Manufacturers: []device.Manufacturer{{Name: "maker", Anchors: []*x509.Certificate{maker.Certificate()}}},
	}))
	devices := try(list.NewReader(bytes.NewReader(idevid.Raw), list.Options{}))
	imported := try(service.ImportDevices(ctx, devices, masa.ImportOptions{Now: now}))
	fmt.Println("devices:", imported.New)

	// What the device asks, and what the registrar makes of it.
	request := codec.VoucherRequest{Voucher: codec.Voucher{Assertion: codec.AssertionProximity, CreatedOn: now, SerialNumber: []byte("SN-1"), Nonce: []byte("0123456789abcdef")}}
	request.ProximityRegistrarCert = registrar.Raw
	prior := try(exampleSealer(deviceKey, idevid).Request(ctx, &request))
	request.ProximityRegistrarCert, request.PriorSignedVoucherRequest = nil, prior
	body := try(exampleSealer(registrarKey, registrar, domain.Certificate()).Request(ctx, &request))

	answer := try(service.RequestVoucher(ctx, &exchange.Request{Now: now, ContentType: codec.FormatCMS.MediaType(), Body: body}))
	opener := artefact.Opener{Verifier: artefact.Verifying(try(sign.NewVerifier(sign.VerifierOptions{})))}
	voucher := try(opener.Voucher(ctx, codec.FormatCMS, answer.Body, artefact.Trust{Anchors: []*x509.Certificate{maker.Certificate()}, At: now}))
	pinned := try(x509.ParseCertificate(voucher.Leaves.PinnedDomainCert))
	fmt.Printf("%s: %v, pinned to %v\n", voucher.Leaves.SerialNumber, voucher.Leaves.Assertion, pinned.Subject)
	// Output:
	// devices: 1
	// SN-1: proximity, pinned to CN=Domain CA
}

func exampleKey() *ecdsa.PrivateKey { return try(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func exampleCA(name string, now time.Time) *ca.Authority {
	return try(ca.NewRoot(ca.RootParams{CommonName: name, Key: exampleKey(), NotBefore: now, NotAfter: now.AddDate(20, 0, 0)}, ca.Options{}))
}

func exampleSealer(key *ecdsa.PrivateKey, chain ...*x509.Certificate) *artefact.Sealer {
	signer := artefact.Signing(try(sign.NewSigner(sign.ES256, key, sign.Options{})))
	return try(artefact.NewSealer(artefact.SealerParams{Format: codec.FormatCMS, Signer: signer, Chain: chain}))
}

func try[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
