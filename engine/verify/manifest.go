package verify

import (
	"fmt"
	"slices"

	"github.com/vouchmill/vouchmill/engine/manifest"
	"github.com/vouchmill/vouchmill/engine/run"
	"github.com/vouchmill/vouchmill/sign"
)

// manifestRemedy is what can be done about a manifest that does not hold.
const manifestRemedy = "take bundle and manifest from where they were issued"

// checkManifest checks the manifest of a source that was read to its end. chains
// and verifier are the sink's own.
func checkManifest(src *source, c *chains, verifier sign.Verifier) finding {
	if src.manifestErr != nil {
		return found(CheckManifest, manifestRemedy, "%v", src.manifestErr)
	}
	var certs [][]byte
	for _, cert := range src.manifest.Chain {
		certs = append(certs, cert.Raw)
	}
	if bad := c.find(certs, 0).bad; !bad.none() {
		return found(CheckManifest, bad.remedy, "its signer is not trusted: %s", bad.reason)
	}
	if err := src.manifest.VerifySignature(verifier); err != nil {
		return found(CheckManifest, manifestRemedy, "%v", err)
	}
	m := src.manifest.Manifest
	if src.stored != nil {
		if f := compareHeader(m, src.stored); !f.none() {
			return f
		}
	}
	switch root := manifest.Digest(src.tree.Root()); {
	case src.cut:
		return found(CheckManifest, manifestRemedy, "the vouchers could not be read to their end, so they cannot be compared with it")
	case src.vouchers != m.Count:
		return found(CheckManifest, manifestRemedy, "there are %d vouchers, it states %d", src.vouchers, m.Count)
	case src.gap != "":
		return found(CheckManifest, manifestRemedy, "the tree cannot be built: %s", src.gap)
	case root != m.TreeRoot:
		return found(CheckManifest, manifestRemedy, "the tree over the %d vouchers has root %v, it states %v: a voucher was altered, exchanged or moved, or the manifest is of another run", m.Count, root, m.TreeRoot)
	}
	return finding{}
}

// compareHeader compares a manifest with the stored run it closes.
func compareHeader(m *manifest.Manifest, r *run.Reader) finding {
	const remedy = pageRemedy
	h := r.Header
	created, err := h.Created()
	if err != nil {
		return found(CheckManifest, remedy, "%v", err)
	}
	for _, field := range []struct{ name, manifest, header string }{
		{"run", m.Run, h.Name}, {"format", m.Format, h.Format}, {"algorithm", m.Algorithm, h.Algorithm},
		{"created-on", run.FormatTime(m.CreatedOn), run.FormatTime(created)},
	} {
		if field.manifest != field.header {
			return found(CheckManifest, remedy, "its %s is %s, that of the run %s", field.name, field.manifest, field.header)
		}
	}
	digests, err := r.TemplateDigests()
	if err != nil {
		return found(CheckManifest, remedy, "%v", err)
	}
	stated := make([][32]byte, 0, len(m.Templates))
	for _, t := range m.Templates {
		stated = append(stated, t.SHA256)
	}
	if !slices.Equal(digests, stated) {
		return found(CheckManifest, remedy, "the templates of the run (%d) are not the %d it states: the header or a variant was altered", len(digests), len(stated))
	}
	return finding{}
}

// manifestReport says what became of a manifest.
func manifestReport(src *source, holds bool) ManifestReport {
	r := ManifestReport{Source: src.name, Holds: holds}
	if src.manifest != nil {
		m := src.manifest.Manifest
		r.Run, r.Count, r.Root = m.Run, m.Count, m.Root()
	}
	return r
}

// noManifest says what cannot be told of a source without a manifest.
func noManifest(src *source) string {
	if src.stored != nil {
		return fmt.Sprintf("%s is unfinished: it has no manifest yet", src.name)
	}
	return fmt.Sprintf("%s has no manifest: vouchers may have been left out, added or exchanged for older ones", src.name)
}
