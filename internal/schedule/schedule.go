// Package schedule chooses servers from values: the one of an active/passive director,
// and that of each new connection of a balanced one. The second is the specification of
// what the data plane does. It does not know health, checks or clocks, and it remembers
// nothing.
package schedule

// Candidate is a server as the choice sees it.
type Candidate struct {
	Name   string
	Weight int  // 0: quiescent, never chosen
	Sorry  bool // chosen only when no regular server can be
	Usable bool // may be chosen now
}

// Choose returns the best usable server. Regular servers come first, the one
// with the highest weight before the others, then the sorry servers; among
// equals the order of the configuration decides.
func Choose(servers []Candidate) (name string, ok bool) {
	best := -1
	for i, c := range servers {
		if c.Usable && c.Weight > 0 && (best < 0 || better(c, servers[best])) {
			best = i
		}
	}
	if best < 0 {
		return "", false
	}
	return servers[best].Name, true
}

// better tells whether c, which stands later in the configuration, is
// preferred to b. The weights of sorry servers do not rank them.
func better(c, b Candidate) bool {
	if c.Sorry != b.Sorry {
		return b.Sorry
	}
	return !c.Sorry && c.Weight > b.Weight
}
