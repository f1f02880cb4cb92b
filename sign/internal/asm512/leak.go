package asm512

import (
	"fmt"
	"maps"
	"strings"
)

// A trace is what is known, at one place of a function, about registers that do
// not depend on data: general registers that point into read-only symbols, and
// vectors made of constants.
type trace struct {
	readOnly map[string]bool
	fixed    [32]bool
}

func (t *trace) clone() *trace { return &trace{maps.Clone(t.readOnly), t.fixed} }

// meet keeps what both know.
func (t *trace) meet(u *trace) {
	maps.DeleteFunc(t.readOnly, func(r string, _ bool) bool { return !u.readOnly[r] })
	for i := range t.fixed {
		t.fixed[i] = t.fixed[i] && u.fixed[i]
	}
}

// CheckConstantTime refuses a function, with all it calls, in which an address,
// a branch or the time of an instruction could depend on the contents of memory.
//
// General registers may come from arguments, from immediates, from each other
// and from read-only data, never from a vector, a mask or other memory. So
// addresses and branches, which take general registers alone, depend on the
// arguments (pointers and counts) only. Gathers must have constant indexes. All
// operations must be among those whose time does not depend on operands.
func CheckConstantTime(p *Program, function string) error {
	return checkLeaks(p, function, map[string]bool{})
}

func checkLeaks(p *Program, function string, seen map[string]bool) error {
	f := p.Functions[function]
	if f == nil {
		return fmt.Errorf("no function %s", function)
	}
	if seen[function] {
		return nil
	}
	seen[function] = true
	at := map[int][]string{}
	for l, pc := range f.Labels {
		at[pc] = append(at[pc], l)
	}
	t := &trace{readOnly: map[string]bool{}}
	passed, pending := map[string]*trace{}, map[string]*trace{}
	for pc := range f.Code {
		i := &f.Code[pc]
		for _, l := range at[pc] {
			if u := pending[l]; u != nil {
				t.meet(u)
			}
			passed[l] = t.clone()
		}
		if strings.HasPrefix(i.Op, "J") {
			if err := t.jump(i, passed, pending); err != nil {
				return fmt.Errorf("%s: %v: %w", function, i, err)
			}
			continue
		}
		if i.Op == "CALL" {
			if err := checkLeaks(p, i.Args[0].Name, seen); err != nil {
				return err
			}
			t.forget(p, i.Args[0].Name)
			continue
		}
		if err := t.step(i); err != nil {
			return fmt.Errorf("%s: %v: %w", function, i, err)
		}
	}
	return nil
}

// jump carries what is known to a place ahead, and requires, for a place behind,
// that nothing known there has been lost.
func (t *trace) jump(i *Instruction, passed, pending map[string]*trace) error {
	l := i.Args[0].Name
	if u := passed[l]; u != nil {
		now := u.clone()
		now.meet(t)
		if len(now.readOnly) != len(u.readOnly) || now.fixed != u.fixed {
			return fmt.Errorf("what is constant at %s is not here", l)
		}
		return nil
	}
	if u := pending[l]; u != nil {
		u.meet(t)
		return nil
	}
	pending[l] = t.clone()
	return nil
}

// forget drops what a called function writes.
func (t *trace) forget(p *Program, function string) {
	for n := range p.Functions[function].Code {
		i := &p.Functions[function].Code[n]
		if i.Op == "CALL" {
			t.forget(p, i.Args[0].Name)
			continue
		}
		if len(i.Args) == 0 {
			continue
		}
		switch last := i.Args[len(i.Args)-1]; last.Kind {
		case General:
			delete(t.readOnly, last.Name)
		case Vector:
			t.fixed[last.Value] = false
		}
	}
}

// timeless are prefixes of operations whose time does not depend on operands.
// Loads and stores are: their addresses are checked apart.
var timeless = strings.Fields("VMOVDQ VPADD VPSUB VPAND VPOR VPXOR VPTERNLOG VPSLL VPSRL VPSRA VPROR VPMADD52 VPBROADCAST " +
	"VPERMT2Q VPTEST VPCMPEQ VPMOVQ2M VPMOVM2Q VPSHUFB VPUNPCK VSHUF VINSERT VEXTRACT VPGATHERQQ VZERO KXNOR " +
	"MOVQ LEAQ ADDQ SUBQ INCQ DECQ TESTQ IMULQ PREFETCHT0 RET")

func (t *trace) step(i *Instruction) error {
	known := false
	for _, prefix := range timeless {
		known = known || strings.HasPrefix(i.Op, prefix)
	}
	if !known {
		return fmt.Errorf("not among the operations of constant time")
	}
	if len(i.Args) == 0 {
		return nil
	}
	last := &i.Args[len(i.Args)-1]
	for n := range i.Args {
		a := &i.Args[n]
		if a.Kind != Memory || a.Index == "" || generalRegisters[a.Index] {
			continue
		}
		var index uint64
		if _, err := fmt.Sscanf(a.Index, "Z%d", &index); err != nil || !t.fixed[index] {
			return fmt.Errorf("the addresses of %s depend on data", a.text)
		}
	}
	switch last.Kind {
	case General:
		return t.general(i, last)
	case Vector:
		t.fixed[last.Value] = t.isFixed(i)
	}
	return nil
}

// general allows what general registers may come from.
func (t *trace) general(i *Instruction, dst *Operand) error {
	if i.Op == "INCQ" || i.Op == "DECQ" || i.Op == "TESTQ" {
		return nil
	}
	src := &i.Args[0]
	switch {
	case i.Op == "LEAQ":
		t.set(dst, src.Kind == Symbol || src.Index == "" && t.readOnly[src.Base])
	case src.Kind == Immediate && (i.Op == "ADDQ" || i.Op == "SUBQ"):
	case src.Kind == Immediate || src.Kind == Argument:
		t.set(dst, false)
	case src.Kind == General:
		t.set(dst, i.Op == "MOVQ" && t.readOnly[src.Name])
	case src.Kind == Memory && t.readOnly[src.Base] && src.Index == "":
		t.set(dst, false)
	default:
		return fmt.Errorf("%s depends on data", dst.Name)
	}
	return nil
}

func (t *trace) set(dst *Operand, readOnly bool) {
	delete(t.readOnly, dst.Name)
	if readOnly {
		t.readOnly[dst.Name] = true
	}
}

// isFixed reports that an instruction makes a vector from constants alone.
func (t *trace) isFixed(i *Instruction) bool {
	src := &i.Args[len(i.Args)-2]
	switch {
	case strings.HasPrefix(i.Op, "VMOVDQU") || strings.HasPrefix(i.Op, "VPSLL"):
		return src.Kind == Memory && t.readOnly[src.Base] || src.Kind == Vector && t.fixed[src.Value]
	case strings.HasPrefix(i.Op, "VPXOR") && len(i.Args) == 3:
		return i.Args[0].text == i.Args[1].text
	}
	return false
}
