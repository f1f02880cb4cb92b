package kit

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// bundled are the devices of the kit's run.
var bundled = []string{"JADA-1", "JADA-2", "Größe/3"}

// fileNames are what their vouchers are called in a bundle.
var fileNames = []string{"JADA-1.vcj", "JADA-2.vcj", "Gr%C3%B6%C3%9Fe%2F3.vcj"}

// runOf is a run of three vouchers in CMS with everything its manifest binds.
type runOf struct {
	vouchers [][]byte
	leaves   [][32]byte
	treeRoot [32]byte
	root     [32]byte
	template [32]byte
	manifest []byte
}

func nodeHash(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// run makes the run and signs its manifest.
func (p *pki) run() *runOf {
	r := &runOf{}
	for _, device := range bundled {
		content := p.voucher().with(textLeaf("serial-number", device)).json(topVoucher)
		m := newCMS(p.masa, content)
		r.vouchers = append(r.vouchers, m.encode())
		attributes := set(m.signers[0].attributes...)
		leaf := append([]byte{0}, es256.sum(attributes)...)
		leaf = append(leaf, es256.rawSignature(p.masa.key, attributes)...)
		r.leaves = append(r.leaves, sha256.Sum256(leaf))
	}
	r.treeRoot = nodeHash(nodeHash(r.leaves[0], r.leaves[1]), r.leaves[2])
	r.template = sha256.Sum256([]byte("the constants of the run"))
	templates := sha256.Sum256(r.template[:])
	bound := append([]byte("vouchmill manifest v1\x00"), r.treeRoot[:]...)
	bound = binary.BigEndian.AppendUint64(bound, uint64(len(bundled)))
	r.root = sha256.Sum256(append(bound, templates[:]...))
	r.manifest = p.signManifest(r.statement(""))
	return r
}

// statement is the manifest's payload, with more before the closing brace.
func (r *runOf) statement(more string) string {
	return fmt.Sprintf(`{"vouchmill-manifest":1,"run":"kit","format":"cms","algorithm":"ES256","count":%d,"created-on":"2026-11-24T10:00:00Z","tree-root":"%x","templates":[{"sha256":"%x"}],"root":"%x"%s}`,
		len(bundled), r.treeRoot, r.template, r.root, more)
}

func (p *pki) signManifest(statement string) []byte {
	m := newJWS(p.masa, []byte(statement))
	m.signers[0].protected = strings.Replace(m.signers[0].protected, "voucher-jws+json", "vouchmill-manifest+json", 1)
	return append(m.encode(), '\n')
}

// recordCases adds what a run is handed over with.
func (b *builder) recordCases() error {
	p := b.pki
	r := p.run()
	c := func(name, kind, about string) Case {
		return Case{File: "records/" + name + ".json", Kind: kind, About: about}
	}
	b.good(r.manifest, c("manifest", KindManifest, "the manifest of a run of three"))
	b.bad(bytes.Replace(r.manifest, []byte(b64url([]byte(r.statement("")))), []byte(b64url([]byte(strings.Replace(r.statement(""), `"kit"`, `"kat"`, 1)))), 1),
		"signature", "", c("bad-manifest-altered", KindManifest, "another name than was signed"))
	b.bad(p.signManifest(r.statement(`,"more":1`)), "manifest", "", c("bad-manifest-member", KindManifest, "a member that is not known"))
	b.bad(p.signManifest(strings.Replace(r.statement(""), `"count":3`, `"count":4`, 1)), "manifest", "", c("bad-manifest-count", KindManifest, "a root that is not of its content"))
	b.bad(p.signManifest(strings.Replace(r.statement(""), `-manifest":1`, `-manifest":2`, 1)), "manifest", "", c("bad-manifest-version", KindManifest, "a version that is to come"))
	proof := fmt.Sprintf(`{"vouchmill-proof":1,"run":"kit","leaf-index":2,"tree-size":3,"leaf-hash":"%x","path":["%x"],"manifest-root":"%x"}`+"\n", r.leaves[2], nodeHash(r.leaves[0], r.leaves[1]), r.root)
	b.good([]byte(proof), c("proof", KindProof, "the third voucher is in the run"))
	b.bad([]byte(strings.Replace(proof, `"leaf-index":2`, `"leaf-index":1`, 1)), "proof", "", c("bad-proof-index", KindProof, "the path of another place"))
	b.bad([]byte(strings.Replace(proof, `"path":["`, `"path":["00`, 1)), "proof", "", c("bad-proof-hash", KindProof, "a hash of 33 octets"))
	if err := b.headers(); err != nil {
		return err
	}
	return b.bundles(r)
}

func (b *builder) headers() error {
	p := b.pki
	var chain []string
	for _, der := range p.masa.chain {
		chain = append(chain, base64.StdEncoding.EncodeToString(der))
	}
	quoted, err := json.Marshal(chain)
	if err != nil {
		return err
	}
	header := fmt.Sprintf(`{"version":1,"name":"kit","format":"cms","algorithm":"ES256","chain":%s,"created-on":"2026-11-24T10:00:00Z","expires-on":"10y","assertion":"logged","pin-as":"cert","pins":[{"name":"","cert":"%s"}],"serial-from":"subject","serial-bytes":64,"reproducible":true}`,
		quoted, base64.StdEncoding.EncodeToString(p.owner.chain[0]))
	c := func(name, about string) Case {
		return Case{File: "records/" + name + ".json", Kind: KindHeader, About: about}
	}
	b.good([]byte(header), c("header", "the header of a run"))
	for _, bad := range []struct{ name, about, old, with string }{
		{"version", "a version that is to come", `"version":1`, `"version":2`},
		{"member", "a member that is not known", `"version":1`, `"version":1,"more":1`},
		{"name", "a name that is a path", `"name":"kit"`, `"name":"../kit"`},
		{"created-on", "a created-on with a fraction of a second", "10:00:00Z", "10:00:00.5Z"},
		{"expires-on", "an expires-on before created-on", `"10y"`, `"2020-01-01T00:00:00Z"`},
		{"chain", "no certificate", `"chain":` + string(quoted), `"chain":[]`},
		{"truncated", "cut off", `,"reproducible":true}`, ``},
	} {
		b.bad([]byte(strings.Replace(header, bad.old, bad.with, 1)), "header", "", c("bad-header-"+bad.name, bad.about))
	}
	return nil
}

// bundles adds the run in every form of a bundle that is one file.
func (b *builder) bundles(r *runOf) error {
	c := func(name, about string) Case {
		return Case{File: "bundles/" + name, Kind: KindBundle, About: about, Vouchers: len(bundled)}
	}
	archive, err := r.tar(fileNames)
	if err != nil {
		return err
	}
	var lines, items []byte
	for i, device := range bundled {
		lines = fmt.Appendf(lines, `{"serial-number":%s,"format":"cms","voucher":"%s"}`+"\n", quote(device), base64.StdEncoding.EncodeToString(r.vouchers[i]))
		items = append(items, cborMap(cborText("serial-number"), cborText(device), cborText("format"), cborText("cms"), cborText("voucher"), cborBytes(r.vouchers[i]))...)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(archive); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	b.good(archive, c("run.tar", "manifest.json, then a member a voucher"))
	b.good(packed.Bytes(), c("run.tar.gz", "the same, compressed"))
	b.good(lines, c("run.ndjson", "an object a line"))
	b.good(items, c("run.cborseq", "a CBOR sequence"))
	outside, err := r.tar([]string{"JADA-1.vcj", "../JADA-2.vcj", "3.vcj"})
	if err != nil {
		return err
	}
	bad := func(name, about string, content []byte) {
		broken := c("bad-"+name, about)
		broken.Vouchers = 0
		b.bad(content, "read", "", broken)
	}
	bad("path.tar", "a member that would lie outside", outside)
	bad("truncated.tar", "cut off within a member", archive[:len(archive)/2])
	bad("truncated.tar.gz", "gzip without its last octets", packed.Bytes()[:packed.Len()-4])
	bad("truncated.cborseq", "the last octet is missing", items[:len(items)-1])
	bad("member.ndjson", "a member twice", []byte(`{"serial-number":"A","serial-number":"B","format":"cms","voucher":"MA=="}`+"\n"))
	bad("base64.ndjson", "a voucher that is no base64", []byte(`{"serial-number":"A","format":"cms","voucher":"*"}`+"\n"))
	return nil
}

func (r *runOf) tar(names []string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	contents := append([][]byte{r.manifest}, r.vouchers...)
	for i, name := range append([]string{"manifest.json"}, names...) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(contents[i])), ModTime: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(contents[i]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
