package dataplane

import (
	"fmt"

	"fairlead/internal/model"
)

// mostTurns is how many turns a balanced director has at most.
const mostTurns = len(directorShares{}.Turns)

// sharesOf gives the servers of a balanced director their turns: as many as
// their weights say, and each one's spread evenly. Whose MAC is not known gets
// none, so that the others serve its clients meanwhile.
func sharesOf(want model.DesiredDirector, at indices) (directorShares, error) {
	var s directorShares
	if !want.Balanced {
		return s, nil
	}
	type candidate struct {
		index       uint8
		weight, due int
	}
	var all []candidate
	sum, unknown := 0, ""
	for _, srv := range want.Servers {
		switch {
		case srv.Weight == 0:
		case !srv.MAC.Known():
			unknown = srv.Name
		default:
			index := at.servers[model.ServerRef{Director: want.Name, Server: srv.Name}]
			all = append(all, candidate{index: index, weight: srv.Weight})
			sum += srv.Weight
		}
	}
	divisor := 0
	for _, c := range all {
		divisor = gcd(divisor, c.weight)
	}
	if sum > 0 {
		s.Length = uint16(min(sum/divisor, mostTurns))
	}
	// Each turn goes to the one that is furthest behind its share.
	for turn := range int(s.Length) {
		best := 0
		for i := range all {
			all[i].due += all[i].weight
			if all[i].due > all[best].due {
				best = i
			}
		}
		all[best].due -= sum
		s.Turns[turn] = all[best].index
	}
	if unknown != "" && len(all) == 0 {
		return s, fmt.Errorf("apply %s/%s: its MAC address is not known: it does not answer ARP", want.Name, unknown)
	}
	return s, nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
