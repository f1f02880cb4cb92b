// Package profile reads the file that says what a run of vouchers is to be:
// every leaf of the voucher and every setting of the command that issues it.
//
// [Parse] the file into [Settings], lay what the command line says over it with
// [Settings.Set] and [Settings.Override], and ask each setting for its value.
// A [Setting] knows whether it was set, so a default is decided once, by who
// uses it; [Keys] has them all with meaning and default.
//
// # The file
//
// YAML, one mapping, at most 64 KiB. Its keys are the names of the command's
// flags and of the voucher's leaves:
//
//	# for ACME's order of March
//	format: cms
//	key: masa.key
//	cert: masa.pem
//	pin:
//	  acme: acme-ca.pem
//	created-on: 2026-03-01T00:00:00Z
//	expires-on: 10y
//	assertion: logged
//
// It is read strictly: unknown keys (the nearest known one is named), keys that
// come twice, anchors, aliases, tags, merges and values that do not fit are
// refused with their line, the cause and what to do. File names are taken as
// they are, relative to the current directory, as on the command line.
//
// # Times and durations
//
// A time is RFC 3339 with its zone (2026-03-01T00:00:00Z) or a date, which
// means midnight UTC. A duration is a row of numbers with units, ns us ms s m h
// as in Go, and d (24 hours), w (7 days) and y (365 days): 10y, 1y6w, 36h; or
// ISO 8601 with the same meaning of Y, W and D (P10Y, PT36H), where months,
// which have no fixed length, are refused.
package profile
