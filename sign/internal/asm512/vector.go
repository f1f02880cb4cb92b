package asm512

import (
	"fmt"
	"strings"
)

// executeVector does one instruction on the registers of one state. A write
// under a mask may or may not happen: the result is both.
func (m *Machine) executeVector(s *state, i *Instruction) error {
	if len(i.Args) == 0 {
		switch i.Op {
		case "VZEROALL":
			for r := range 16 {
				s.z[r] = Exactly(0)
			}
			return nil
		case "VZEROUPPER":
			return nil
		}
		return fmt.Errorf("unknown operation")
	}
	if i.Op == "PREFETCHT0" {
		return nil
	}
	last := &i.Args[len(i.Args)-1]
	switch last.Kind {
	case Mask:
		return nil // masks are not followed
	case Memory:
		if strings.HasPrefix(i.Op, "VMOVDQ") && len(i.Args) == 2 && i.Args[0].Kind == Vector {
			return m.store(last, s.z[i.Args[0].Value], s == &m.states[0])
		}
		return fmt.Errorf("unknown store")
	case Vector:
	default:
		return fmt.Errorf("unknown destination")
	}
	args, masked := i.Args, false
	if len(args) > 2 && args[len(args)-2].Kind == Mask {
		masked = true
		args = append(append([]Operand(nil), args[:len(args)-2]...), *last)
	}
	v, err := m.evaluate(s, i, args)
	if err != nil {
		return err
	}
	if masked {
		v = hull(v, s.z[last.Value])
	}
	s.z[last.Value] = v
	return nil
}

// evaluate is the result of an instruction whose destination is a vector; args
// are without the mask.
func (m *Machine) evaluate(s *state, i *Instruction, args []Operand) (Interval, error) {
	op, broadcast := strings.CutSuffix(i.Op, ".BCST")
	value := func(n int) (Interval, error) { return m.vectorOperand(s, &args[n], broadcast) }
	two := func(f func(a, b Interval) (Interval, error)) (Interval, error) {
		b, err := value(0)
		if err != nil {
			return Unknown, err
		}
		a, err := value(1)
		if err != nil {
			return Unknown, err
		}
		return f(a, b)
	}
	total := func(f func(a, b Interval) Interval) (Interval, error) {
		return two(func(a, b Interval) (Interval, error) { return f(a, b), nil })
	}
	switch op {
	case "VMOVDQU64", "VMOVDQA64":
		return value(0)
	case "VPBROADCASTQ":
		if args[0].Kind == General {
			return Exactly(int64(m.general[args[0].Name])), nil
		}
		return m.vectorOperand(s, &args[0], true)
	case "VPADDQ":
		return two(addInterval)
	case "VPSUBQ":
		return two(subInterval)
	case "VPANDQ":
		return total(andInterval)
	case "VPORQ":
		return total(orInterval)
	case "VPXORQ":
		if args[0].text == args[1].text {
			return Exactly(0), nil
		}
		return total(func(a, b Interval) Interval { return Unknown })
	case "VPSLLQ", "VPSRLQ", "VPSRAQ":
		return m.shift(s, i, args)
	case "VPMADD52LUQ", "VPMADD52HUQ":
		return m.multiply(s, i, args, broadcast, op == "VPMADD52HUQ")
	case "VPERMT2Q":
		a, err := value(0)
		return hull(a, s.z[args[2].Value]), err
	case "VPMOVM2Q":
		return Between(-1, 0), nil
	case "VPUNPCKLQDQ", "VPUNPCKHQDQ", "VSHUFI64X2", "VPTERNLOGQ", "VPANDNQ", "VPSHUFB", "VPGATHERQQ":
		return Unknown, nil
	}
	return Unknown, fmt.Errorf("unknown operation")
}

func (m *Machine) vectorOperand(s *state, o *Operand, broadcast bool) (Interval, error) {
	switch {
	case o.Kind == Vector:
		return s.z[o.Value], nil
	case o.Kind == Memory && broadcast:
		q, err := m.quad(o)
		return Exactly(int64(q)), err
	case o.Kind == Memory || o.Kind == Symbol:
		return m.load(o)
	}
	return Unknown, fmt.Errorf("not a vector: %s", o.text)
}

func (m *Machine) shift(s *state, i *Instruction, args []Operand) (Interval, error) {
	n := uint(args[0].Value)
	a := s.z[args[1].Value]
	switch i.Op {
	case "VPSLLQ":
		return shiftLeft(a, n), nil
	case "VPSRLQ":
		return shiftLogical(a, n)
	}
	return shiftArithmetic(a, n), nil
}

func (m *Machine) multiply(s *state, i *Instruction, args []Operand, broadcast, high bool) (Interval, error) {
	var f [2]Interval
	for n := range f {
		v, err := m.vectorOperand(s, &args[n], broadcast)
		if err != nil {
			return Unknown, err
		}
		if f[n], err = factor(v, i.Note == "low"); err != nil {
			return Unknown, err
		}
	}
	return addInterval(product(f[0], f[1], high), s.z[args[2].Value])
}
