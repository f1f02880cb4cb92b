package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/engine/store"
)

// getOptions are the flags of get.
type getOptions struct {
	serial, issuer, run string
	all, proof          bool
}

func newGet() *cobra.Command {
	var dir string
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get --store DIR --serial S",
		Short: "Print the newest voucher of a device",
		Long: `Print the newest voucher of a device, its raw octets, on standard output. The
voucher is rebuilt from the store and its signature checked first.

Exit code 1: there is none. 2: devices of several issuers have this serial
number and --idevid-issuer does not say which is meant.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, dir, store.Options{ReadOnly: true}, func(s *store.Store) error { return get(cmd, s, &o) })
		},
	}
	storeFlag(cmd, &dir)
	f := cmd.Flags()
	f.StringVar(&o.serial, "serial", "", "serial number of the device, as in the list")
	f.StringVar(&o.issuer, "idevid-issuer", "", "issuer of the device's IDevID, hexadecimal: the whole leaf, the AuthorityKeyIdentifier or the bare key identifier")
	f.StringVar(&o.run, "run", "", "look in this run only")
	f.BoolVar(&o.all, "all", false, "print all vouchers of the device, newest first, one behind the other")
	f.BoolVar(&o.proof, "proof", false, "print the proof that the voucher is in its run's manifest, instead of the voucher")
	cobra.CheckErr(cmd.MarkFlagRequired("serial"))
	return cmd
}

func get(cmd *cobra.Command, s *store.Store, o *getOptions) error {
	var keyID []byte
	if o.issuer != "" {
		raw, err := hex.DecodeString(o.issuer)
		if err == nil {
			keyID, err = codec.IssuerKeyID(raw)
		}
		if err != nil {
			return usageError("--idevid-issuer: %w", err)
		}
	}
	found, err := lookUp(s, o, keyID)
	if err != nil {
		return err
	}
	switch {
	case len(found) == 0:
		return &exitError{Code: exitFailed, Err: fmt.Errorf("no voucher for serial number %q", o.serial)}
	case keyID == nil:
		if err := oneIssuer(found, o.serial); err != nil {
			return err
		}
	}
	if !o.all {
		found = found[:1]
	}
	for _, f := range found {
		if err := printFound(cmd, f, o.proof); err != nil {
			return err
		}
	}
	return nil
}

// A stored voucher and the reader of its run.
type foundIn struct {
	run.Found
	reader *run.Reader
}

// lookUp finds the vouchers of a serial number and, where given, an issuer;
// newest run first, and within a run the last one first.
func lookUp(s *store.Store, o *getOptions, keyID []byte) ([]foundIn, error) {
	var hits iter.Seq2[store.Hit, error]
	if o.run != "" {
		r, err := s.Run(o.run)
		if err != nil {
			return nil, runError(err)
		}
		hits = r.Lookup([]byte(o.serial))
	} else {
		hits = s.Lookup([]byte(o.serial))
	}
	readers := make(map[*store.Run]*run.Reader)
	var found []foundIn
	for hit, err := range hits {
		if err != nil {
			return nil, ioError(err)
		}
		r := readers[hit.Run]
		if r == nil {
			if r, err = run.NewReader(hit.Run); err != nil {
				return nil, ioError(err)
			}
			readers[hit.Run] = r
		}
		v, err := r.Variant(hit.Variant)
		if err != nil {
			return nil, ioError(err)
		}
		if keyID == nil || bytes.Equal(keyID, v.KeyID) {
			found = append(found, foundIn{run.Found{Hit: hit, StoredVariant: v}, r})
		}
	}
	return found, nil
}

// oneIssuer refuses to choose between devices.
func oneIssuer(found []foundIn, serial string) error {
	issuers := make(map[string]bool)
	text := ""
	for _, f := range found {
		if !issuers[string(f.KeyID)] {
			issuers[string(f.KeyID)] = true
			name := "no issuer"
			if f.Issuer != nil {
				name = hex.EncodeToString(f.Issuer)
			}
			text += "\n  " + name
		}
	}
	if len(issuers) > 1 {
		return usageError("devices of several issuers have serial number %q; say which with --idevid-issuer:%s", serial, text)
	}
	return nil
}

func printFound(cmd *cobra.Command, f foundIn, proof bool) error {
	var b []byte
	var err error
	if proof {
		p, proofErr := f.reader.Proof(f.Found)
		if proofErr != nil {
			return ioError(proofErr)
		}
		b, err = p.AppendJSON(nil)
	} else {
		b, err = f.reader.Voucher(f.Found)
	}
	if err != nil {
		return ioError(err)
	}
	_, err = cmd.OutOrStdout().Write(b)
	return ioError(err)
}
