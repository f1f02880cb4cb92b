package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/vouchmill/vouchmill/cmd/internal/program"
)

func main() {
	os.Exit(program.Main(newRoot(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// defaultConfig is where the configuration is looked for.
const defaultConfig = "registrar.yaml"

// shared are the flags that all sub-commands about a registrar take.
type shared struct {
	config string
	asJSON bool
}

func newRoot() *cobra.Command {
	var o shared
	root := &cobra.Command{
		Use:   "registrar",
		Short: "Let devices join a domain with vouchers of their makers (RFC 8995)",
		Long: `Registrar answers devices that come out of their box: it gets them a voucher from
their maker's MASA (RFC 8995) and gives them a certificate of the domain (EST, RFC
7030).

Results go to standard output, everything else to standard error.

Exit codes: 0 done; 1 some of the work was refused, or there is no such device;
2 usage or configuration; 3 state, I/O or network; 4 interrupted by a signal.`,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&o.config, "config", defaultConfig, "configuration of the registrar")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON; a line each for what is a list")
	root.AddCommand(newInit(&o), newServe(&o), newManufacturers(&o), newDevices(&o), newCertificates(&o), newStatus(&o), newProxy(), program.NewVersion(), program.NewMan())
	return root
}
