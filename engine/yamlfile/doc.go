// Package yamlfile reads the plain part of YAML that settings are written in:
// one mapping of keys to values, sequences of values, or mappings of names to
// values, or to such mappings again. What people do not expect of a settings file (anchors, aliases, tags,
// merges, several documents, deeper nesting) is refused, and values are text as
// written: 007 stays 007, whatever YAML would make of it.
//
// [Parse] gives the pairs in their order; [Pair.Name], and [Pair.Entries] or
// [Pair.Pairs], read them one at a time, so that a caller can report the first mistake of a file
// first. [Nearest] suggests what an unknown key may have meant.
//
// Errors are an [*Error] with the place. Input is bounded by [MaxBytes] and
// [MaxDepth] before a YAML parser sees it. Nothing here is shared.
package yamlfile
