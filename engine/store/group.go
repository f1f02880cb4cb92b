package store

// A group is a stretch of pages that is committed in one transaction.
type group struct {
	first  uint32 // number of its first page
	octets []byte // the pages, one after the other
	ends   []int  // end of each page in octets
	after  mark   // the run with this group in it (its octets are not used)
}

func (g *group) reset(first uint32) {
	g.first, g.octets, g.ends = first, g.octets[:0], g.ends[:0]
}

func (g *group) add(page []byte) {
	g.octets = append(g.octets, page...)
	g.ends = append(g.ends, len(g.octets))
}

// page returns page i of the group, counted from 0.
func (g *group) page(i int) []byte {
	begin := 0
	if i > 0 {
		begin = g.ends[i-1]
	}
	return g.octets[begin:g.ends[i]:g.ends[i]]
}

// find returns the page of that number if it is in the group.
func (g *group) find(number uint32) ([]byte, bool) {
	if g == nil || number < g.first || uint64(number) >= uint64(g.first)+uint64(len(g.ends)) {
		return nil, false
	}
	return g.page(int(number - g.first)), true
}
