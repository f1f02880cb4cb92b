package asm512

import (
	"fmt"
	"strconv"
	"strings"
)

// A Program is a parsed assembly file.
type Program struct {
	Functions map[string]*Function
	Data      map[string][]uint64 // read-only symbols, as quadwords
}

// A Function is its instructions; Labels are indexes into them.
type Function struct {
	Name   string
	Code   []Instruction
	Labels map[string]int
}

// An Instruction has its operands in the order of Go's assembler, the
// destination last. Note is the comment after it: a hint for the proof.
type Instruction struct {
	Op   string
	Args []Operand
	Note string
	Line int
}

// String gives the instruction with its line, without its note.
func (i *Instruction) String() string {
	var args []string
	for _, a := range i.Args {
		args = append(args, a.text)
	}
	return fmt.Sprintf("line %d: %s %s", i.Line, i.Op, strings.Join(args, ", "))
}

// An OperandKind tells operands apart.
type OperandKind uint8

// Kinds of operands.
const (
	Immediate OperandKind = iota
	General               // general-purpose register
	Vector                // Z or X register
	Mask                  // K register
	Memory                // Offset(Base) or Offset(Base)(Index*1)
	Symbol                // a symbol's address or contents
	Argument              // of the function: name+Offset(FP)
	Label                 // of a jump
)

// An Operand is one of an instruction.
type Operand struct {
	Kind        OperandKind
	Name        string // register, symbol, label
	Value       uint64 // immediate; number of a vector or mask register
	Base, Index string // of memory
	Offset      int64  // of memory, symbol or argument
	text        string
}

// Parse reads a file written by a [Writer].
func Parse(text []byte) (*Program, error) {
	p := &Program{Functions: map[string]*Function{}, Data: map[string][]uint64{}}
	var f *Function
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		code, note, _ := strings.Cut(strings.TrimRight(line, "\n"), "//")
		code = strings.TrimSpace(code)
		op, rest, _ := strings.Cut(code, " ")
		switch {
		case code == "" || strings.HasPrefix(code, "#") || op == "GLOBL" || op == "PCALIGN":
		case op == "DATA":
			if err := p.data(rest); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		case op == "TEXT":
			name, _, _ := strings.Cut(strings.TrimPrefix(rest, "·"), "(")
			f = &Function{Name: strings.TrimSuffix(name, "<>"), Labels: map[string]int{}}
			p.Functions[f.Name] = f
		case f == nil:
			return nil, fmt.Errorf("line %d: %q outside of a function", n, code)
		case strings.HasSuffix(code, ":"):
			f.Labels[strings.TrimSuffix(code, ":")] = len(f.Code)
		default:
			i := Instruction{Op: op, Note: strings.TrimSpace(note), Line: n}
			for _, a := range strings.Split(rest, ", ") {
				if a == "" {
					continue
				}
				o, err := parseOperand(a)
				if err != nil {
					return nil, fmt.Errorf("line %d: %w", n, err)
				}
				i.Args = append(i.Args, o)
			}
			f.Code = append(f.Code, i)
		}
	}
	return p, nil
}

// data reads one DATA directive of a quadword.
func (p *Program) data(rest string) error {
	var offset int
	var value uint64
	name, rest, ok := strings.Cut(rest, "<>+")
	if _, err := fmt.Sscanf(rest, "%d(SB)/8, $%v", &offset, &value); err != nil || !ok || offset != 8*len(p.Data[name]) {
		return fmt.Errorf("bad data directive %q", rest)
	}
	p.Data[name] = append(p.Data[name], value)
	return nil
}

func parseOperand(s string) (Operand, error) {
	o := Operand{text: s, Name: s}
	bad := fmt.Errorf("bad operand %q", s)
	switch {
	case strings.HasPrefix(s, "$"):
		v, err := strconv.ParseInt(s[1:], 0, 64)
		if u, uerr := strconv.ParseUint(s[1:], 0, 64); uerr == nil {
			v, err = int64(u), nil
		}
		if err != nil {
			return o, bad
		}
		o.Kind, o.Value = Immediate, uint64(v)
		return o, nil
	case strings.HasSuffix(s, "<>(SB)"):
		o.Kind, o.Name = Symbol, strings.TrimSuffix(s, "<>(SB)")
		return o, nil
	case strings.HasSuffix(s, "(FP)"):
		_, off, _ := strings.Cut(strings.TrimSuffix(s, "(FP)"), "+")
		v, err := strconv.ParseInt(off, 10, 64)
		o.Kind, o.Offset = Argument, v
		return o, err
	case strings.HasSuffix(s, ")"):
		return parseMemory(o, s, bad)
	}
	if v, err := strconv.ParseUint(s[1:], 10, 8); err == nil {
		switch s[0] {
		case 'Z', 'X':
			o.Kind, o.Value = Vector, v
			return o, nil
		case 'K':
			o.Kind, o.Value = Mask, v
			return o, nil
		}
	}
	if generalRegisters[s] {
		o.Kind = General
		return o, nil
	}
	o.Kind = Label
	return o, nil
}

// parseMemory reads off(base) or off(base)(index*1).
func parseMemory(o Operand, s string, bad error) (Operand, error) {
	o.Kind = Memory
	off, rest, _ := strings.Cut(s, "(")
	if off != "" {
		v, err := strconv.ParseInt(off, 10, 64)
		if err != nil {
			return o, bad
		}
		o.Offset = v
	}
	base, index, indexed := strings.Cut(strings.TrimSuffix(rest, ")"), ")(")
	o.Base = base
	if indexed {
		reg, ok := strings.CutSuffix(index, "*1")
		if !ok {
			return o, bad
		}
		o.Index = reg
	}
	if !generalRegisters[o.Base] {
		return o, bad
	}
	return o, nil
}

var generalRegisters = func() map[string]bool {
	m := map[string]bool{}
	for _, r := range strings.Fields("AX BX CX DX SI DI R8 R9 R10 R11 R12 R13 R14 R15") {
		m[r] = true
	}
	return m
}()
