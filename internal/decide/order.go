package decide

import (
	"fmt"
	"strings"

	"fairlead/internal/model"
)

// order carries out an operator's order, or says why not.
func (s State) order(e Ordered) []Action {
	if err := s.refusal(e.Ref); err != "" {
		return []Action{Reply{ID: e.ID, Err: err}}
	}
	d := s.director(e.Ref.Director)
	v := verdict{true, e.Ref.Server, model.ReasonOperator, "ordered by an operator"}
	return []Action{Reply{ID: e.ID}, s.move(d, v, e.When())}
}

// refusal says why a switch to that server is not possible, "" when it is.
func (s State) refusal(ref model.ServerRef) string {
	d := s.director(ref.Director)
	if d == nil {
		var names []string
		for _, d := range s.directors {
			names = append(names, d.Name)
		}
		return fmt.Sprintf("there is no director %q; %s", ref.Director, have("the configuration has", names))
	}
	srv := d.server(ref.Server)
	if srv == nil {
		var names []string
		for _, s := range d.servers {
			names = append(names, s.Name)
		}
		return fmt.Sprintf("director %s has no server %q; %s", d.Name, ref.Server, have("it has", names))
	}
	switch {
	case d.active() == srv:
		return fmt.Sprintf("%s is the active server of %s already; nothing changed", srv.Name, d.Name)
	case srv.Weight == 0:
		return fmt.Sprintf("%s has weight 0; not switched", srv.Name)
	case !srv.usable():
		return fmt.Sprintf("%s is %s; not switched", srv.Name, srv.state())
	}
	return ""
}

func have(what string, names []string) string {
	if len(names) == 0 {
		return what + " none"
	}
	return what + " " + strings.Join(names, ", ")
}
