package schedule

import "testing"

func TestChoose(t *testing.T) {
	up := func(name string, weight int) Candidate {
		return Candidate{Name: name, Weight: weight, Usable: true}
	}
	sorry := func(c Candidate) Candidate { c.Sorry = true; return c }
	down := func(c Candidate) Candidate { c.Usable = false; return c }

	tests := []struct {
		name    string
		servers []Candidate
		want    string // "": none
	}{
		{"no server", nil, ""},
		{"the highest weight first", []Candidate{up("a", 1), up("b", 10), up("c", 5)}, "b"},
		{"among equal weights the first of the configuration", []Candidate{up("a", 5), up("b", 5)}, "a"},
		{"a regular server before a heavier sorry one", []Candidate{sorry(up("s", 200)), up("a", 1)}, "a"},
		{"a sorry server when no regular one is usable", []Candidate{down(up("a", 10)), sorry(up("s", 1))}, "s"},
		{"sorry servers by the order of the configuration, not by weight", []Candidate{sorry(up("s", 1)), sorry(up("t", 9))}, "s"},
		{"the next sorry server when the first is not usable", []Candidate{down(sorry(up("s", 1))), sorry(up("t", 1))}, "t"},
		{"weight 0 is never chosen", []Candidate{up("a", 0), sorry(up("s", 0))}, ""},
		{"a sorry server when the regular one is quiescent", []Candidate{up("a", 0), sorry(up("s", 1))}, "s"},
		{"nobody usable", []Candidate{down(up("a", 1)), down(sorry(up("s", 1)))}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := Choose(tt.servers)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Choose = %q, %v; want %q", got, ok, tt.want)
			}
		})
	}
}
