package devicelist

import (
	"errors"

	"github.com/vouchmill/vouchmill/engine/list"
)

// rejectJSON is a list.RowError as it travels.
type rejectJSON struct {
	File   string `json:"file,omitempty"`
	Unit   string `json:"unit,omitempty"`
	Line   uint64 `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
	Raw    []byte `json:"raw,omitempty"`
}

func toJSON(e *list.RowError) rejectJSON {
	j := rejectJSON{File: e.File, Unit: e.Unit, Line: e.Line, Column: e.Column, Field: e.Field, Remedy: e.Remedy, Raw: e.Raw}
	if e.Err != nil {
		j.Reason = e.Err.Error()
	}
	return j
}

func (j *rejectJSON) rowError() *list.RowError {
	return &list.RowError{File: j.File, Unit: j.Unit, Line: j.Line, Column: j.Column, Field: j.Field, Err: errors.New(j.Reason), Remedy: j.Remedy, Raw: j.Raw}
}

// progressJSON is how far an import is.
type progressJSON struct {
	Done     uint64 `json:"done"`
	Rejected uint64 `json:"rejected"`
	Octets   uint64 `json:"octets"`
}

// Names of the lines that come back.
const (
	eventReject   = "reject"
	eventProgress = "progress"
)
