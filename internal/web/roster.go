package web

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/model"
)

// A roster is who may come in, as it was seen last. Users and tokens are changed
// by commands, of which the daemon's journal would not know.
type roster map[string]entry // nil: not seen yet

type entry struct {
	role  model.Role
	since time.Time
}

func readRoster(s *access.Store) (roster, error) {
	users, err := s.Users()
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens()
	if err != nil {
		return nil, err
	}
	now := roster{}
	for _, u := range users {
		now["the user "+u.Name] = entry{u.Role, u.Since}
	}
	for _, t := range tokens {
		now["the token "+t.Name] = entry{t.Role, t.Since}
	}
	return now, nil
}

// changes tells what changed since before, in words.
func (r roster) changes(before roster) []string {
	if before == nil {
		return nil
	}
	var all []string
	for _, who := range slices.Sorted(maps.Keys(before)) {
		if _, there := r[who]; !there {
			all = append(all, who+" was removed")
		}
	}
	for _, who := range slices.Sorted(maps.Keys(r)) {
		now, was := r[who], before[who]
		switch {
		case was.role == model.RoleNone:
			all = append(all, fmt.Sprintf("%s was added, with the role %s", who, now.role))
		case !was.since.Equal(now.since):
			all = append(all, who+" got another secret")
		case was.role != now.role:
			all = append(all, fmt.Sprintf("%s got the role %s, and had %s", who, now.role, was.role))
		}
	}
	return all
}

// notice enters in the journal who may come in since the last look, and who no more.
func (g *gate) notice() {
	now, err := readRoster(g.access)
	if err != nil {
		return // every login says so
	}
	for _, text := range now.changes(g.roster) {
		g.daemon.Audit(model.Actor{Name: "root", Role: model.RoleAdmin, Via: "command line"}, text, nil)
	}
	g.roster = now
}
