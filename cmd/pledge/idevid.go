package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/material"
	"github.com/vouchmill/vouchmill/cmd/internal/program"
	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/bundle"
	"github.com/vouchmill/vouchmill/engine/ca"
	"github.com/vouchmill/vouchmill/sign"
)

const idevidLong = `Make IDevIDs, the certificates that devices leave the factory with (IEEE 802.1AR),
for trying things out: SERIAL.pem, the certificate and its chain, and SERIAL.key,
which its owner alone may read. Octets of a serial number that are none of a file
name are written %XX. Nothing is ever overwritten.

A factory makes the keys inside its devices. One whose key lay in a file is worth
what the file's keeper is.`

// maxIDevIDs bounds --n.
const maxIDevIDs = 1_000_000

type idevidFlags struct {
	caCert, caKey, passFile string
	masaURL, serial, prefix string
	n                       int
	out                     string
	json                    bool
}

func newIDevID() *cobra.Command {
	var o idevidFlags
	cmd := &cobra.Command{
		Use:   "idevid --ca-cert FILE --ca-key FILE --masa-url HOST:PORT (--serial S | --n N --prefix P) --out DIR",
		Short: "Make IDevIDs for trying things out",
		Long:  idevidLong,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.caCert, "ca-cert", "", "certificate of the authority that issues, and its issuers if any (PEM)")
	f.StringVar(&o.caKey, "ca-key", "", "its key: a file, or a pkcs11: URI")
	f.StringVar(&o.passFile, "key-pass-file", "", "file whose first line is the key's passphrase, instead of "+material.PassEnv+" or a prompt")
	f.StringVar(&o.masaURL, "masa-url", "", "where the devices' MASA is, HOST or HOST:PORT; goes into the certificates")
	f.StringVar(&o.serial, "serial", "", "serial number of one device")
	f.IntVar(&o.n, "n", 0, "how many devices, numbered from 1 behind the prefix")
	f.StringVar(&o.prefix, "prefix", "", "what their serial numbers begin with")
	f.StringVar(&o.out, "out", "", "directory for the files; made if it is not there")
	f.BoolVar(&o.json, "json", false, "print one JSON object a device")
	for _, name := range []string{"ca-cert", "ca-key", "masa-url", "out"} {
		cobra.CheckErr(cmd.MarkFlagRequired(name))
	}
	cmd.MarkFlagsOneRequired("serial", "n")
	cmd.MarkFlagsMutuallyExclusive("serial", "n")
	cmd.MarkFlagsRequiredTogether("n", "prefix")
	return cmd
}

func (o *idevidFlags) run(cmd *cobra.Command) error {
	serials, err := o.serials()
	if err != nil {
		return err
	}
	text, err := program.ReadFile(o.caCert, sign.MaxPEMBytes)
	if err != nil {
		return fmt.Errorf("--ca-cert: %w", err)
	}
	chain, err := sign.LoadChain(text)
	if err != nil {
		return program.Usagef("--ca-cert %s: %w", o.caCert, err)
	}
	key, err := material.OpenKey(cmd, "--ca-key", o.caKey, material.Passphrase(cmd, o.passFile))
	if err != nil {
		return err
	}
	authority, err := ca.New(chain[0], key, ca.Options{})
	if err == nil {
		err = o.make(cmd, &factory{authority, chain, o.masaURL, o.out, time.Now().UTC().Add(-time.Hour)}, serials)
	} else {
		err = program.Usagef("--ca-cert %s, --ca-key %s: %w", o.caCert, o.caKey, err)
	}
	return errors.Join(err, key.Close())
}

// serials lists the serial numbers asked for.
func (o *idevidFlags) serials() ([]string, error) {
	serials := []string{o.serial}
	if o.serial == "" {
		if o.n < 1 || o.n > maxIDevIDs {
			return nil, program.Usagef("--n %d: want 1 to %d", o.n, maxIDevIDs)
		}
		serials = make([]string, o.n)
		width := len(strconv.Itoa(o.n))
		for i := range serials {
			serials[i] = fmt.Sprintf("%s%0*d", o.prefix, width, i+1)
		}
	}
	if err := codec.CheckSerial([]byte(serials[len(serials)-1]), 0); err != nil {
		return nil, program.Usagef("--serial, --prefix: %w", err)
	}
	return serials, nil
}

// make makes the devices, as many at a time as there are processors, and reports
// them in their order.
func (o *idevidFlags) make(cmd *cobra.Command, f *factory, serials []string) error {
	if err := os.MkdirAll(o.out, 0o700); err != nil {
		return program.IOError(err)
	}
	made := make([]device, len(serials))
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, min(runtime.GOMAXPROCS(0), len(serials)))
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	for w := range errs {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(serials)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if made[i], errs[w] = f.device(serials[i]); errs[w] != nil {
					stop()
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := cmd.Context().Err(); err != nil {
		return program.IOError(err)
	}
	if err := material.SyncDir(o.out); err != nil {
		return program.IOError(err)
	}
	out := cmd.OutOrStdout()
	if !o.json {
		fmt.Fprintf(out, "wrote %d IDevIDs to %s\n", len(made), o.out)
		return nil
	}
	encoder := json.NewEncoder(out)
	for _, d := range made {
		if err := encoder.Encode(d); err != nil {
			return program.IOError(err)
		}
	}
	return nil
}

// A factory makes devices.
type factory struct {
	authority *ca.Authority
	chain     []*x509.Certificate
	masaURL   string
	dir       string
	now       time.Time // a while ago: clocks of verifiers may be behind
}

// A device is what was made of one.
type device struct {
	SerialNumber string `json:"serial-number"`
	Certificate  string `json:"certificate"`
	Key          string `json:"key"`
}

// device makes one. Where its certificate cannot be written, its key goes again.
func (f *factory) device(serial string) (device, error) {
	key, err := sign.GenerateKey(sign.ES256, nil)
	if err != nil {
		return device{}, program.IOError(err)
	}
	defer sign.DestroyKey(key)
	cert, err := f.authority.IDevID(ca.IDevIDParams{SerialNumber: serial, PublicKey: key.Public(), NotBefore: f.now, MASAURL: f.masaURL})
	if err != nil {
		return device{}, program.Usagef("serial number %q: %w", serial, err)
	}
	stem := fileStem(serial)
	d := device{serial, filepath.Join(f.dir, stem+".pem"), filepath.Join(f.dir, stem+".key")}
	return d, f.write(d, key, cert)
}

func (f *factory) write(d device, key crypto.Signer, cert *x509.Certificate) error {
	text, err := sign.MarshalKeyPEM(key, nil)
	if err != nil {
		return program.IOError(err)
	}
	defer clear(text)
	if err = material.WriteNew(d.Key, text, 0o600); err == nil {
		if err = material.WriteNew(d.Certificate, ca.ChainPEM(slices.Concat([]*x509.Certificate{cert}, f.chain)...), 0o644); err == nil {
			return nil
		}
		err = errors.Join(err, os.Remove(d.Key))
	}
	if errors.Is(err, fs.ErrExist) {
		return program.Usagef("%w; IDevIDs are never overwritten: choose another --out or serial number", err)
	}
	return program.IOError(err)
}

// fileStem is a file name for a serial number, less the extension: the one that
// bundles of vouchers have for it.
func fileStem(serial string) string {
	return strings.TrimSuffix(string(bundle.AppendName(nil, []byte(serial), nil, codec.FormatCMS)), codec.FormatCMS.Extension())
}
