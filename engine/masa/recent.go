package masa

import (
	"container/list"
	"sync"
)

// maxRecent bounds what a recent holds: registrars and their certificates, some
// KiB each and maxRequester at most.
const maxRecent = 1024

// A recent remembers what was used last: registrars ask again and again, each
// with the same certificates. The zero recent is ready for use, and safe for
// concurrent use. What it holds is shared and must not be changed.
type recent[K comparable, V any] struct {
	mu    sync.Mutex
	kept  map[K]*list.Element // of *remembered
	order list.List           // most recently used first
}

type remembered[K comparable, V any] struct {
	key   K
	value V
}

func (m *recent[K, V]) get(key K) (value V, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.kept[key]
	if e == nil {
		return value, false
	}
	m.order.MoveToFront(e)
	return e.Value.(*remembered[K, V]).value, true
}

func (m *recent[K, V]) put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.kept[key]; e != nil {
		e.Value.(*remembered[K, V]).value = value
		m.order.MoveToFront(e)
		return
	}
	if m.kept == nil {
		m.kept = make(map[K]*list.Element)
	}
	if m.order.Len() >= maxRecent {
		oldest := m.order.Back()
		delete(m.kept, oldest.Value.(*remembered[K, V]).key)
		m.order.Remove(oldest)
	}
	m.kept[key] = m.order.PushFront(&remembered[K, V]{key, value})
}
