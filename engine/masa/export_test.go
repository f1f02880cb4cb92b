package masa

// Remembered is how many requesters are remembered.
func (s *Service) Remembered() int {
	s.requesters.mu.Lock()
	defer s.requesters.mu.Unlock()
	return s.requesters.order.Len()
}

// MaxWatched is how many changes an import notes.
const MaxWatched = maxWatched
