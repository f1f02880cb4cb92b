// Package bundle writes and reads what a run is handed over as: many vouchers
// in one file or one directory, with the run's manifest.
//
// [Create] a [Writer], [Writer.Add] the vouchers in run order, [Writer.Commit].
// [Open] a [Reader] on any bundle, on a directory of vouchers or on a lone
// voucher, and call [Reader.Next] until io.EOF.
//
// # Forms
//
// The name's extension says which:
//
//	.tar      manifest.json first, then one member a voucher
//	.ndjson   one line a voucher: {"serial-number","idevid-issuer"?,"format","voucher"},
//	          the two binary values in base64; the manifest is FILE.manifest.json
//	.cborseq  a CBOR sequence (RFC 8742) of the same maps with byte strings;
//	          the manifest is FILE.manifest.json
//	DIR/      manifest.json, order.txt and one file a voucher
//
// A file may be compressed: .tar.gz, .tgz, .tar.zst, .ndjson.gz and so on.
// The manifest beside a compressed FILE.ndjson.gz is FILE.ndjson.gz.manifest.json.
//
// Vouchers come in run order, the order of the manifest's tree. A directory
// has no order of its own, so order.txt lists its files, one a line.
//
// # Names
//
// A voucher's file is called by its serial number with an extension that tells
// its format (.vcj, .vjj, .vch), see [AppendName].
//
// # What a bundle does not tell
//
// The same run gives the same bytes, whoever exports it, whenever and wherever:
// members of a tar file have owner 0, mode 0644 and the time the caller states,
// compressed files carry no time, no name and no trace of the number of cores.
//
// # Durability and trust
//
// A bundle appears whole or not at all: it is written under a temporary name
// beside its own, fsynced, renamed, and its directory fsynced. Readers trust
// nothing: sizes, names and the ratio of compression are bounded, links and
// paths are refused, and memory does not grow with the number of vouchers.
package bundle
