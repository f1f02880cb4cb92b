package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/codec"
)

func newInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FILE|-",
		Short: "Take a voucher or voucher-request apart and say what is odd about it",
		Long: `Take apart any voucher artefact: CMS, JWS or COSE, or a bare payload, raw or wrapped
in PEM, base64 or hexadecimal digits. Nothing is verified: verify does that.

Exit code 1: a reader that keeps to the standards would refuse it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			limits := codec.DefaultLimits()
			b, err := readArtefact(cmd, args[0], int64(2*limits.RequestBytes))
			if err != nil {
				return err
			}
			report, err := codec.Inspect(b, limits)
			if err != nil {
				return &exitError{Code: exitFailed, Err: fmt.Errorf("%s: %w", args[0], err)}
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(report)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), reportText(report))
			}
			if err == nil && len(report.Problems) > 0 {
				return &exitError{Code: exitFailed}
			}
			return ioError(err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// readArtefact reads a file or standard input of at most max octets.
func readArtefact(cmd *cobra.Command, path string, max int64) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, ioError(err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, max+1))
	if err != nil {
		return nil, ioError(err)
	}
	if int64(len(b)) > max {
		return nil, usageError("%s: more than %d octets; no voucher artefact is that large", path, max)
	}
	return b, nil
}
