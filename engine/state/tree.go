package state

import (
	"bytes"
	"hash/maphash"
)

// A node is a node of a treap. Those that a Memory keeps never change: setting a
// key copies the path to it. So a tree is a snapshot, free of charge, and whoever
// holds a root may read it at any time. The tree of a group is its committer's
// alone and changes in place. The priority of a node is a keyed hash of its
// key, which makes the shape depend on the keys alone and keeps it flat whoever
// chose them.
type node struct {
	key         []byte
	value       []byte
	deleted     bool // in an overlay: the key is gone from what lies below
	priority    uint64
	left, right *node
}

var prioritySeed = maphash.MakeSeed()

// get returns the node of key, nil if there is none.
func (n *node) get(key []byte) *node {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n
		}
	}
	return nil
}

// with returns the tree with key set. It keeps both slices.
func (n *node) with(key, value []byte, deleted bool) *node {
	return n.put(&node{key: key, value: value, deleted: deleted, priority: priority(key)})
}

func priority(key []byte) uint64 { return maphash.Bytes(prioritySeed, key) }

// insert is with for a tree that nobody else holds, which it changes. It keeps
// e.
func (n *node) insert(e *node) *node {
	if n == nil {
		return e
	}
	switch c := bytes.Compare(e.key, n.key); {
	case c == 0:
		e.left, e.right = n.left, n.right
		return e
	case c < 0:
		n.left = n.left.insert(e)
		if l := n.left; l.priority > n.priority {
			n.left, l.right = l.right, n
			return l
		}
	default:
		n.right = n.right.insert(e)
		if r := n.right; r.priority > n.priority {
			n.right, r.left = r.left, n
			return r
		}
	}
	return n
}

func (n *node) put(e *node) *node {
	if n == nil {
		return e
	}
	c := bytes.Compare(e.key, n.key)
	m := *n
	switch {
	case c == 0:
		e.left, e.right = n.left, n.right
		return e
	case c < 0:
		l := n.left.put(e)
		if l.priority > m.priority { // l was made by this call: it may still change
			m.left = l.right
			l.right = &m
			return l
		}
		m.left = l
	default:
		r := n.right.put(e)
		if r.priority > m.priority {
			m.right = r.left
			r.left = &m
			return r
		}
		m.right = r
	}
	return &m
}

// without returns the tree without key.
func (n *node) without(key []byte) *node {
	if n == nil {
		return nil
	}
	m := *n
	switch c := bytes.Compare(key, n.key); {
	case c < 0:
		m.left = n.left.without(key)
	case c > 0:
		m.right = n.right.without(key)
	default:
		return join(n.left, n.right)
	}
	return &m
}

// join joins two trees of which all keys of a are less than those of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		m := *a
		m.right = join(a.right, b)
		return &m
	}
	m := *b
	m.left = join(a, b.left)
	return &m
}

// A cursor goes over a tree in ascending order. path holds the nodes that are
// still to come and whose left side is done with.
type cursor struct{ path []*node }

// from places the cursor before the first key not less than key.
func (n *node) from(key []byte) *cursor {
	c := &cursor{}
	for n != nil {
		if bytes.Compare(n.key, key) < 0 {
			n = n.right
			continue
		}
		c.path = append(c.path, n)
		n = n.left
	}
	return c
}

// peek returns the node the cursor is at, nil at the end.
func (c *cursor) peek() *node {
	if len(c.path) == 0 {
		return nil
	}
	return c.path[len(c.path)-1]
}

// next moves to the next node.
func (c *cursor) next() {
	n := c.peek()
	c.path = c.path[:len(c.path)-1]
	for n = n.right; n != nil; n = n.left {
		c.path = append(c.path, n)
	}
}
