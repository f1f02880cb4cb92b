package state

import (
	"bytes"
	"context"
	"errors"
)

// A snapshot is what was durable at one time. It may be read by any number of
// goroutines until release was called.
type snapshot interface {
	get(key []byte) ([]byte, error) // the caller's, or ErrNotFound
	scan(prefix, after []byte, f func(key, value []byte) error) error
	release()
}

// view is the Reader of a View.
type view struct {
	ctx      context.Context
	base     snapshot
	finished bool
}

func (v *view) ready() error {
	if v.finished {
		return ErrFinished
	}
	return context.Cause(v.ctx)
}

func (v *view) Get(key []byte) ([]byte, error) {
	if err := v.ready(); err != nil {
		return nil, err
	}
	if len(key) == 0 || len(key) > MaxKey {
		return nil, ErrNotFound
	}
	return v.base.get(key)
}

func (v *view) Scan(prefix, after []byte, f func(key, value []byte) error) error {
	if err := v.ready(); err != nil {
		return err
	}
	return stopped(v.base.scan(prefix, after, func(key, value []byte) error {
		if err := v.ready(); err != nil {
			return err
		}
		return f(key, value)
	}))
}

// stopped turns the wish to stop into success.
func stopped(err error) error {
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// An overlay is what a group wrote and is not yet durable.
type overlay struct {
	root *node
	use  usage // at least what it takes
}

// usage is what counts against the limits of an update and of a group.
type usage struct{ entries, octets, large int }

func (u usage) plus(key, value []byte) usage {
	u.entries++
	u.octets += len(key) + 32
	if len(value) < MaxInline {
		u.octets += len(value)
	} else {
		u.large += len(value)
	}
	return u
}

func (u usage) minus(key, value []byte) usage { return u.less(usage{}.plus(key, value)) }

func (u usage) less(v usage) usage {
	return usage{u.entries - v.entries, u.octets - v.octets, u.large - v.large}
}

func (u usage) and(v usage) usage {
	return usage{u.entries + v.entries, u.octets + v.octets, u.large + v.large}
}

// exceeds names the first limit that is passed, nil if none is.
func (u usage) exceeds() error {
	switch {
	case u.entries > MaxUpdateEntries:
		return &LimitError{"entries", u.entries, MaxUpdateEntries}
	case u.octets > MaxUpdateBytes:
		return &LimitError{"octets", u.octets, MaxUpdateBytes}
	case u.large > MaxUpdateLarge:
		return &LimitError{"octets of large values", u.large, MaxUpdateLarge}
	}
	return nil
}

// add lays writes over those that are there.
func (o *overlay) add(w *writes) {
	o.use = o.use.and(w.use)
	for i := range w.list {
		n := &w.list[i]
		n.priority = priority(n.key)
		o.root = o.root.insert(n)
	}
}

// each calls f with every write in order.
func (o *overlay) each(f func(n *node) error) error {
	for c := o.root.from(nil); ; c.next() {
		n := c.peek()
		if n == nil {
			return nil
		}
		if err := f(n); err != nil {
			return err
		}
	}
}

// writes are those of one update, each key once.
type writes struct {
	list []node
	at   map[string]int // into list; nil while that is short
	use  usage
}

// shortList is how many writes are looked through one by one.
const shortList = 16

// find returns the write of a key, nil if there is none.
func (w *writes) find(key []byte) *node {
	if w.at != nil {
		if i, ok := w.at[string(key)]; ok {
			return &w.list[i]
		}
		return nil
	}
	for i := range w.list {
		if bytes.Equal(w.list[i].key, key) {
			return &w.list[i]
		}
	}
	return nil
}

// put keeps value; key is copied.
func (w *writes) put(key, value []byte, deleted bool) {
	if n := w.find(key); n != nil {
		w.use = w.use.minus(n.key, n.value).plus(n.key, value)
		n.value, n.deleted = value, deleted
		return
	}
	w.use = w.use.plus(key, value)
	w.list = append(w.list, node{key: bytes.Clone(key), value: value, deleted: deleted})
	switch {
	case w.at != nil:
		w.at[string(key)] = len(w.list) - 1
	case len(w.list) > shortList:
		w.at = make(map[string]int, 4*shortList)
		for i := range w.list {
			w.at[string(w.list[i].key)] = i
		}
	}
}

// tree returns a tree of the writes as they are now.
func (w *writes) tree() (root *node) {
	for i := range w.list {
		n := w.list[i]
		n.priority = priority(n.key)
		root = root.insert(&n)
	}
	return root
}

// tx is the Tx of one update: what it wrote, over what its group wrote before
// it, over a snapshot.
type tx struct {
	base     snapshot
	group    *node // does not change while the update runs
	own      writes
	err      error // the first limit passed: nothing can be kept any more
	finished bool
}

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.finished {
		return nil, ErrFinished
	}
	n := t.own.find(key)
	if n == nil {
		n = t.group.get(key)
	}
	if n != nil {
		if n.deleted {
			return nil, ErrNotFound
		}
		return append([]byte{}, n.value...), nil
	}
	if len(key) == 0 || len(key) > MaxKey {
		return nil, ErrNotFound
	}
	return t.base.get(key)
}

func (t *tx) Scan(prefix, after []byte, f func(key, value []byte) error) error {
	if t.finished {
		return ErrFinished
	}
	below := func(f func(key, value []byte) error) error {
		return mergeScan(func(f func(key, value []byte) error) error { return t.base.scan(prefix, after, f) }, t.group, prefix, after, f)
	}
	return stopped(mergeScan(below, t.own.tree(), prefix, after, func(key, value []byte) error {
		if t.finished {
			return ErrFinished
		}
		return f(key, value)
	}))
}

func (t *tx) Set(key, value []byte) error {
	if len(value) > MaxValue {
		return t.fail(&LimitError{"value", len(value), MaxValue})
	}
	// Not nil: an empty value reads the same from an overlay and from disk.
	return t.write(key, append([]byte{}, value...), false)
}

func (t *tx) Delete(key []byte) error { return t.write(key, nil, true) }

func (t *tx) write(key, value []byte, deleted bool) error {
	if t.finished {
		return ErrFinished
	}
	if t.err != nil {
		return t.err
	}
	if len(key) == 0 || len(key) > MaxKey {
		return t.fail(&LimitError{"key", len(key), MaxKey})
	}
	t.own.put(key, value, deleted)
	if err := t.own.use.exceeds(); err != nil {
		return t.fail(err)
	}
	return nil
}

func (t *tx) fail(err error) error {
	if t.err == nil {
		t.err = err
	}
	return t.err
}

// scanStart is where a scan begins: at the first key not less than start, and
// not at after itself.
func scanStart(prefix, after []byte) (start []byte) {
	if bytes.Compare(after, prefix) > 0 {
		return after
	}
	return prefix
}

// scanTree calls f with the nodes of a tree that a scan is about.
func scanTree(root *node, prefix, after []byte, f func(n *node) error) error {
	for c := root.from(scanStart(prefix, after)); ; c.next() {
		n := c.peek()
		if n == nil || !bytes.HasPrefix(n.key, prefix) {
			return nil
		}
		if after != nil && bytes.Equal(n.key, after) {
			continue
		}
		if err := f(n); err != nil {
			return err
		}
	}
}

// mergeScan goes over what scan shows with the writes in over laid over it.
func mergeScan(scan func(f func(key, value []byte) error) error, over *node, prefix, after []byte, f func(key, value []byte) error) error {
	c := over.from(scanStart(prefix, after))
	// catchUp hands out what over holds of the keys less than limit, and of limit
	// itself, which it then says. A nil limit is the end.
	catchUp := func(limit []byte) (replaced bool, err error) {
		for n := c.peek(); n != nil && bytes.HasPrefix(n.key, prefix) && !replaced; n = c.peek() {
			if limit != nil {
				d := bytes.Compare(n.key, limit)
				if d > 0 {
					break
				}
				replaced = d == 0
			}
			c.next()
			if n.deleted || after != nil && bytes.Equal(n.key, after) {
				continue
			}
			if err := f(n.key, n.value); err != nil {
				return replaced, err
			}
		}
		return replaced, nil
	}
	err := scan(func(key, value []byte) error {
		if replaced, err := catchUp(key); replaced || err != nil {
			return err
		}
		return f(key, value)
	})
	if err == nil {
		_, err = catchUp(nil)
	}
	return err
}
