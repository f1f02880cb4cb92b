package state

import (
	"sync"
)

// A Fault is what a Memory does in place of a commit.
type Fault int

// The faults. Those that fail leave a DB that reads and takes no Updates
// ([*FailedError]); after those that crash every call returns [ErrClosed], as the
// call that was under way does.
const (
	NoFault     Fault = iota
	FailBefore        // the commit fails and nothing of it is on disk
	FailAfter         // the commit fails although all of it is on disk
	CrashBefore       // the process dies before the commit
	CrashAfter        // the process dies after the commit and before anyone was answered
)

// A Memory is a DB in memory with the semantics of one on disk, for tests and
// for simulations: what is durable outlives a crash, which [Memory.OnCommit]
// brings about and [Memory.Reopen] recovers from.
type Memory struct {
	*core
	disk *memory
}

// memory is the backend of a Memory.
type memory struct {
	mu    sync.Mutex
	root  *node // what is durable
	seen  *node // what was committed with success
	count uint64
	hook  func(commit uint64) Fault
	full  bool
	dead  chan struct{}
}

// NewMemory returns an empty DB. It needs no Close.
func NewMemory() *Memory { return newMemory(nil) }

func newMemory(root *node) *Memory {
	m := &memory{root: root, seen: root, dead: make(chan struct{})}
	return &Memory{core: newCore(m), disk: m}
}

// OnCommit has f asked before each commit, which are counted from 0, what is to
// go wrong with it. It must not call the DB. nil is nothing.
func (m *Memory) OnCommit(f func(commit uint64) Fault) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.disk.hook = f
}

// SetFull makes the disk full, or no longer full: every Update that begins
// meanwhile gets a [*FullError].
func (m *Memory) SetFull(full bool) {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.disk.full = full
}

// Reopen kills the DB, if it is not dead or closed, and returns what a process
// that is started then finds: exactly what was durable. Faults set by OnCommit
// and SetFull are gone.
func (m *Memory) Reopen() *Memory {
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.disk.kill()
	return newMemory(m.disk.root)
}

func (m *memory) kill() {
	select {
	case <-m.dead:
	default:
		close(m.dead)
	}
}

func (m *memory) crashed() <-chan struct{} { return m.dead }

func (m *memory) room() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full {
		return &FullError{Dir: "in memory", Need: 1}
	}
	return nil
}

func (m *memory) commit(w *overlay) error {
	m.mu.Lock()
	hook, n := m.hook, m.count
	m.count++
	m.mu.Unlock()
	fault := NoFault
	if hook != nil {
		fault = hook(n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.dead:
		return ErrClosed
	default:
	}
	if fault != FailBefore && fault != CrashBefore {
		_ = w.each(func(n *node) error {
			if n.deleted {
				m.root = m.root.without(n.key)
			} else {
				m.root = m.root.with(n.key, n.value, false)
			}
			return nil
		})
	}
	switch fault {
	case FailBefore, FailAfter:
		return errInjected
	case CrashBefore, CrashAfter:
		m.kill()
		return ErrClosed
	}
	m.seen = m.root
	return nil
}

func (m *memory) snapshot() snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return memorySnapshot{m.seen}
}

func (m *memory) release() error { return nil }

// memorySnapshot is a tree, and trees do not change.
type memorySnapshot struct{ root *node }

func (s memorySnapshot) get(key []byte) ([]byte, error) {
	n := s.root.get(key)
	if n == nil {
		return nil, ErrNotFound
	}
	return append([]byte{}, n.value...), nil
}

func (s memorySnapshot) scan(prefix, after []byte, f func(key, value []byte) error) error {
	return scanTree(s.root, prefix, after, func(n *node) error { return f(n.key, n.value) })
}

func (s memorySnapshot) release() {}
