package program

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/vouchmill/vouchmill/sign"
	"github.com/vouchmill/vouchmill/sign/sha256x16"
	"github.com/vouchmill/vouchmill/sign/wide"
)

// Version is that of the module this program was built from.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// NewVersion makes the sub-command version.
func NewVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and what signs here",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s %s %s %s/%s\n", cmd.Root().Name(), Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			key, err := sign.GenerateKey(sign.ES256, nil)
			if err != nil {
				return err
			}
			defer sign.DestroyKey(key)
			fmt.Fprintf(out, "ES256 is signed by: %s\n", implementation(sign.Implementations(sign.ES256, key)))
			fmt.Fprintf(out, "ES256 is verified by: %s\n", implementation(sign.VerifierImplementations()))
			fmt.Fprintf(out, "wide ES256: %s\nwide SHA-256: %s\n", wide.Describe(), sha256x16.Describe())
			return nil
		},
	}
}

// implementation says which of several is chosen, and why.
func implementation(names []string) string {
	if forced := os.Getenv(sign.ImplEnv); slices.Contains(names, forced) {
		return forced + ", as " + sign.ImplEnv + " says"
	}
	return names[0] + ", the best here of " + strings.Join(names, ", ")
}

// NewMan makes the sub-command that writes the manual pages.
func NewMan() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man --out DIR",
		Short: "Write the manual pages",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root := cmd.Root()
			return IOError(doc.GenManTree(root, &doc.GenManHeader{Title: strings.ToUpper(root.Name()), Section: "1", Source: "Vouchmill"}, dir))
		},
	}
	cmd.Flags().StringVar(&dir, "out", "", "directory for the pages")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}
