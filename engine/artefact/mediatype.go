package artefact

import (
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/vouchmill/vouchmill/codec"
	"github.com/vouchmill/vouchmill/engine/decision"
)

// maxHeader bounds a Content-Type or Accept field, in octets, and maxRanges the
// media ranges of an Accept field.
const (
	maxHeader = 4096
	maxRanges = 64
)

// FormatOf returns the format that a Content-Type names, parameters ignored, if
// it is among those served. The error is a *decision.Refusal of kind
// ContentType.
func FormatOf(contentType string, served ...codec.Format) (codec.Format, error) {
	name := mediaType(contentType)
	for _, f := range served {
		if name == f.MediaType() {
			return f, nil
		}
	}
	return codec.FormatUnknown, decision.Refuse(decision.ContentType, "Content-Type is %.100q, want one of %s", contentType, list(served))
}

// Negotiate returns the format to answer in, by an Accept field (RFC 9110
// §12.5.1): the one of the highest quality, of several that of the request
// before the order of served. Without an Accept field, and for ranges such as
// */*, it is the request's. The error is a *decision.Refusal of kind
// NotAcceptable.
func Negotiate(accept string, request codec.Format, served ...codec.Format) (codec.Format, error) {
	ranges, ok := parseAccept(accept)
	if !ok {
		return codec.FormatUnknown, decision.Refuse(decision.NotAcceptable, "Accept is %.100q, which is not a list of at most %d media types", accept, maxRanges)
	}
	if len(ranges) == 0 {
		ranges = []mediaRange{{"*/*", 1000}}
	}
	best, quality := codec.FormatUnknown, 0
	for _, f := range append([]codec.Format{request}, served...) {
		if q := qualityOf(f.MediaType(), ranges); q > quality && slices.Contains(served, f) {
			best, quality = f, q
		}
	}
	if best == codec.FormatUnknown {
		return best, decision.Refuse(decision.NotAcceptable, "Accept is %.200q, which admits none of %s", accept, list(served))
	}
	return best, nil
}

// Accepts reports whether an Accept field admits a media type. An absent field
// admits everything, one that cannot be read nothing.
func Accepts(accept, mediaType string) bool {
	ranges, ok := parseAccept(accept)
	return ok && (len(ranges) == 0 || qualityOf(mediaType, ranges) > 0)
}

// A mediaRange is one range of an Accept field; quality is in thousandths.
type mediaRange struct {
	name    string
	quality int
}

func parseAccept(accept string) (ranges []mediaRange, ok bool) {
	if len(accept) > maxHeader {
		return nil, false
	}
	for part := range strings.SplitSeq(accept, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, params, err := mime.ParseMediaType(part)
		if err != nil || len(ranges) == maxRanges {
			return nil, false
		}
		quality := 1000
		if q, stated := params["q"]; stated {
			f, err := strconv.ParseFloat(q, 32)
			if err != nil || !(f >= 0 && f <= 1) {
				return nil, false
			}
			quality = int(f*1000 + 0.5)
		}
		ranges = append(ranges, mediaRange{name, quality})
	}
	return ranges, true
}

// qualityOf is that of the most specific range which fits.
func qualityOf(name string, ranges []mediaRange) int {
	kind, _, _ := strings.Cut(name, "/")
	quality, rank := 0, 0
	for _, r := range ranges {
		fits := 0
		switch r.name {
		case name:
			fits = 3
		case kind + "/*":
			fits = 2
		case "*/*":
			fits = 1
		}
		if fits > rank || fits > 0 && fits == rank && r.quality > quality {
			quality, rank = r.quality, fits
		}
	}
	return quality
}

// mediaType returns the type without its parameters, in lower case; "" when
// there is none.
func mediaType(field string) string {
	if len(field) > maxHeader {
		return ""
	}
	name, _, _ := strings.Cut(field, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// IsMediaType reports whether a Content-Type names a type, parameters and
// letter case ignored.
func IsMediaType(contentType, name string) bool { return mediaType(contentType) == mediaType(name) }

func list(formats []codec.Format) string {
	var names []string
	for _, f := range formats {
		names = append(names, f.MediaType())
	}
	return strings.Join(names, ", ")
}
