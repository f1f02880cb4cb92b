package asm512

import (
	"fmt"
	"strconv"
	"strings"
)

// A Machine executes functions on intervals. General registers hold numbers,
// for no address and no branch depends on data; vector registers hold intervals;
// memory holds an interval for each vector stored.
//
// A "split g" after an arithmetic shift follows every value of its result for
// itself, until "join g"; g is any word. "low" after a product says that
// the low 52 bits of an accumulator are meant. "bound n" says that a value is in
// [0, 2^n) for a reason that intervals cannot see; [Machine.Assumed] counts
// these.
type Machine struct {
	program *Program
	memory  map[uint64]Interval
	regions []region
	general map[string]uint64
	states  []state
	zero    bool // flag of the last arithmetic on general registers
	args    []uint64
	steps   int
	// Assumed is the number of times a bound was taken on trust, by line.
	Assumed map[int]int
}

// A state is the vector registers under one choice of split values.
type state struct {
	z      [32]Interval
	splits map[string]int64
}

// A region answers loads from memory that nothing was stored to.
type region struct {
	start, size uint64
	value       func(offset uint64) (Interval, bool)
	quads       []uint64 // of read-only data
}

// stepLimit stops a program that does not end.
const stepLimit = 2_000_000

// NewMachine loads a program. All memory is unknown until given.
func NewMachine(p *Program) *Machine {
	m := &Machine{program: p, memory: map[uint64]Interval{}, general: map[string]uint64{}, Assumed: map[int]int{}}
	m.states = []state{{splits: map[string]int64{}}}
	for i := range m.states[0].z {
		m.states[0].z[i] = Unknown
	}
	return m
}

// Region declares size bytes at start. value says what a 64-byte load at an
// offset finds where nothing was stored; its second result is false where
// nothing may be loaded.
func (m *Machine) Region(start, size uint64, value func(offset uint64) (Interval, bool)) {
	m.regions = append(m.regions, region{start: start, size: size, value: value})
}

// Set gives the vector at an address a value.
func (m *Machine) Set(address uint64, v Interval) { m.memory[address] = v }

// Get is the vector at an address.
func (m *Machine) Get(address uint64) Interval {
	if v, ok := m.memory[address]; ok {
		return v
	}
	return Unknown
}

// Run calls a function with the given argument words. An error names the line.
func (m *Machine) Run(function string, args ...uint64) error {
	m.args = args
	for name, quads := range m.program.Data {
		if _, ok := m.symbol(name); !ok {
			m.regions = append(m.regions, region{start: 1<<40 + uint64(len(m.regions))<<20, size: uint64(8 * len(quads)), quads: quads})
			m.general["symbol "+name] = m.regions[len(m.regions)-1].start
		}
	}
	return m.call(function)
}

func (m *Machine) symbol(name string) (uint64, bool) {
	a, ok := m.general["symbol "+name]
	return a, ok
}

func (m *Machine) call(function string) error {
	f := m.program.Functions[function]
	if f == nil {
		return fmt.Errorf("no function %s", function)
	}
	for pc := 0; pc < len(f.Code); {
		i := &f.Code[pc]
		if m.steps++; m.steps > stepLimit {
			return fmt.Errorf("%s: no end after %d steps", f.Name, m.steps)
		}
		pc++
		if i.Op == "RET" {
			return nil
		}
		target, err := m.execute(i)
		if err != nil {
			return fmt.Errorf("%s: %v: %w", f.Name, i, err)
		}
		if target != "" {
			at, ok := f.Labels[target]
			if !ok {
				return fmt.Errorf("%s: %v: no such label", f.Name, i)
			}
			pc = at
		}
	}
	return fmt.Errorf("%s runs off its end", f.Name)
}

// execute returns the label to jump to, or none.
func (m *Machine) execute(i *Instruction) (target string, err error) {
	switch i.Op {
	case "JMP":
		return i.Args[0].Name, nil
	case "JZ", "JEQ":
		if m.zero {
			return i.Args[0].Name, nil
		}
		return "", nil
	case "JNZ", "JNE":
		if !m.zero {
			return i.Args[0].Name, nil
		}
		return "", nil
	case "CALL":
		return "", m.call(i.Args[0].Name)
	}
	if done, err := m.executeGeneral(i); done || err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(i.Note, "split "); ok {
		return "", m.split(name, i)
	}
	for n := range m.states {
		if err := m.executeVector(&m.states[n], i); err != nil {
			return "", err
		}
	}
	return "", m.note(i)
}

// executeGeneral does what concerns general registers only.
func (m *Machine) executeGeneral(i *Instruction) (done bool, err error) {
	set := func(v uint64, flags bool) {
		m.general[i.Args[len(i.Args)-1].Name] = v
		if flags {
			m.zero = v == 0
		}
	}
	if len(i.Args) == 0 || i.Args[len(i.Args)-1].Kind != General {
		return false, nil
	}
	last := m.general[i.Args[len(i.Args)-1].Name]
	var v uint64
	if i.Op != "LEAQ" && len(i.Args) == 2 {
		if v, err = m.number(&i.Args[0]); err != nil {
			return true, err
		}
	}
	switch i.Op {
	case "MOVQ":
		set(v, false)
	case "LEAQ":
		a, err := m.address(&i.Args[0])
		if err != nil {
			return true, err
		}
		set(a, false)
	case "ADDQ":
		set(last+v, true)
	case "SUBQ":
		set(last-v, true)
	case "IMULQ":
		set(last*v, false)
	case "INCQ":
		set(last+1, true)
	case "DECQ":
		set(last-1, true)
	case "TESTQ":
		m.zero = last&v == 0
	default:
		return true, fmt.Errorf("unknown operation on a general register")
	}
	return true, nil
}

// number is an operand of a general instruction.
func (m *Machine) number(o *Operand) (uint64, error) {
	switch o.Kind {
	case Immediate:
		return o.Value, nil
	case General:
		return m.general[o.Name], nil
	case Argument:
		if int(o.Offset/8) >= len(m.args) {
			return 0, fmt.Errorf("no argument at %d", o.Offset)
		}
		return m.args[o.Offset/8], nil
	case Memory:
		return m.quad(o)
	}
	return 0, fmt.Errorf("not a number: %s", o.text)
}

// quad is a quadword of read-only data.
func (m *Machine) quad(o *Operand) (uint64, error) {
	a, err := m.address(o)
	if err != nil {
		return 0, err
	}
	for _, r := range m.regions {
		if r.quads != nil && a >= r.start && a-r.start+8 <= r.size {
			return r.quads[(a-r.start)/8], nil
		}
	}
	return 0, fmt.Errorf("%s is not read-only data", o.text)
}

func (m *Machine) address(o *Operand) (uint64, error) {
	switch o.Kind {
	case Memory:
		a := m.general[o.Base] + uint64(o.Offset)
		if generalRegisters[o.Index] {
			a += m.general[o.Index]
		}
		return a, nil
	case Symbol:
		if a, ok := m.symbol(o.Name); ok {
			return a, nil
		}
	}
	return 0, fmt.Errorf("no address: %s", o.text)
}

// load is the vector at an operand.
func (m *Machine) load(o *Operand) (Interval, error) {
	a, err := m.address(o)
	if err != nil {
		return Unknown, err
	}
	if v, ok := m.memory[a]; ok {
		return v, nil
	}
	for _, r := range m.regions {
		if a < r.start || a-r.start+64 > r.size {
			continue
		}
		if r.quads != nil {
			return Unknown, nil
		}
		if v, ok := r.value(a - r.start); ok {
			return v, nil
		}
	}
	return Unknown, fmt.Errorf("load from %#x, where there is nothing", a)
}

// store joins what the states store.
func (m *Machine) store(o *Operand, v Interval, first bool) error {
	a, err := m.address(o)
	if err != nil {
		return err
	}
	for _, r := range m.regions {
		if r.quads == nil && a >= r.start && a-r.start+64 <= r.size {
			if !first {
				v = hull(v, m.memory[a])
			}
			m.memory[a] = v
			return nil
		}
	}
	return fmt.Errorf("store to %#x, where there is nothing", a)
}

// note takes the hint after an instruction.
func (m *Machine) note(i *Instruction) error {
	word, arg, _ := strings.Cut(i.Note, " ")
	switch word {
	case "", "low":
		return nil
	case "join":
		m.join(arg)
		return nil
	case "bound":
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		m.Assumed[i.Line]++
		for s := range m.states {
			z := &m.states[s].z[i.Args[len(i.Args)-1].Value]
			if z.Any || z.High < 0 {
				return fmt.Errorf("assumed bound of %v", *z)
			}
			z.Low, z.High = max(z.Low, 0), min(z.High, 1<<n-1)
		}
		return nil
	}
	return fmt.Errorf("unknown note %q", i.Note)
}

// splitLimit bounds the values a split follows.
const splitLimit = 16

// split does an arithmetic shift and replaces each state by one for every value
// of the result.
func (m *Machine) split(name string, i *Instruction) error {
	if i.Op != "VPSRAQ" {
		return fmt.Errorf("only an arithmetic shift can be split")
	}
	n, from, to := uint(i.Args[0].Value), i.Args[1].Value, i.Args[2].Value
	var states []state
	for _, s := range m.states {
		v := s.z[from]
		if v.Any || v.High>>n-v.Low>>n >= splitLimit {
			return fmt.Errorf("too many values to split: %v", v)
		}
		for q := v.Low >> n; q <= v.High>>n; q++ {
			t := state{z: s.z, splits: map[string]int64{name: q}}
			for k, x := range s.splits {
				t.splits[k] = x
			}
			t.z[from] = Between(max(v.Low, q<<n), min(v.High, q<<n+1<<n-1))
			t.z[to] = Exactly(q)
			states = append(states, t)
		}
	}
	m.states = states
	return nil
}

// join merges the states that differ in one split only.
func (m *Machine) join(name string) {
	merged := map[string]int{}
	var kept []state
	for _, s := range m.states {
		delete(s.splits, name)
		key := fmt.Sprint(s.splits)
		at, ok := merged[key]
		if !ok {
			merged[key] = len(kept)
			kept = append(kept, s)
			continue
		}
		for r := range s.z {
			kept[at].z[r] = hull(kept[at].z[r], s.z[r])
		}
	}
	m.states = kept
}
