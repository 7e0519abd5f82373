package decide

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mutation is an error that somebody could make.
type mutation struct {
	what     string
	file     string // from this package's directory
	old, new string
}

var mutations = []mutation{
	{"one failure too many until a server is down", "health.go",
		"case s.failures >= c.Fall:", "case s.failures > c.Fall:"},
	{"one pass too few until a server returns", "health.go",
		"s.passes < c.Rise {", "s.passes < c.Rise-1 {"},
	{"a result that came twice is counted twice", "health.go",
		"!r.At.After(srv.heard)", "r.At.Before(srv.heard)"},
	{"a failure is not forgotten when the next probe passes", "health.go",
		"s.failures, s.failing, s.confirm = 0, time.Time{}, time.Time{}", "s.failing, s.confirm = time.Time{}, time.Time{}"},
	{"a due confirmation waits for a later event", "health.go",
		"srv.confirm.IsZero() || srv.confirm.After(at)", "srv.confirm.IsZero() || !srv.confirm.Before(at)"},
	{"a server is blamed for the director's own interface", "network.go",
		"if !ok || !l.Up {", "if !ok {"},
	{"NFS fails back by itself", "activity.go",
		"return d.ServesNFS() || d.choice.reason", "return d.choice.reason"},
	{"an operator's order is undone", "activity.go",
		"return d.ServesNFS() || d.choice.reason == model.ReasonOperator", "return d.ServesNFS()"},
	{"the first choice does not wait for the checks", "activity.go",
		"d.choose(func(s server) bool { return s.health != model.HealthDown })", "d.choose(server.usable)"},
	{"an adopted server is left before its check says down", "activity.go",
		"s.Name == active.Name && s.health != model.HealthDown", "s.Name == active.Name && s.health == model.HealthUp"},
	{"a quiescent server stays active", "activity.go",
		"case now.Weight == 0:", "case now.Weight < 0:"},
	{"another address under the same name keeps its connections", "state.go",
		"s == nil || s.Addr != d.choice.addr", "s == nil"},
	{"a director that returns begins below its old epoch", "state.go",
		"max(d.choice.epoch, s.epochs[cfg.Name])", "d.choice.epoch"},
	{"a reload forgets health", "state.go",
		"kept := *was\n", "kept := newServer(cfg, c, at)\n"},
	{"a switch without a new epoch", "step.go",
		"Epoch: d.choice.epoch + 1,", "Epoch: max(d.choice.epoch, 1),"},
	{"Step writes into the state that it was given", "state.go",
		"slices.Clone(s.directors[i].servers)", "s.directors[i].servers"},
	{"an order to a server whose health is unknown", "order.go",
		"case !srv.usable():", "case srv.health == model.HealthDown:"},
	{"sorry servers are ranked by weight", "../schedule/schedule.go",
		"return !c.Sorry && c.Weight > b.Weight", "return c.Weight > b.Weight"},
}

// TestMutations plants each error in a copy of its file and wants the
// simulation to notice. It is the test of the simulation.
func TestMutations(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the package anew for each mutation")
	}
	if out, err := simulate(t, mutation{}); err != nil {
		t.Fatalf("the simulation fails without a mutation: %v\n%s", err, out)
	}
	for _, m := range mutations {
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			out, err := simulate(t, m)
			switch {
			case err == nil:
				t.Errorf("the simulation did not notice %q for %q in %s", m.new, m.old, m.file)
			case !strings.Contains(out, "--- FAIL: TestSimulation") || !strings.Contains(out, "seed "):
				t.Errorf("the simulation did not run: %v\n%s", err, out)
			}
		})
	}
}

// simulate runs the simulation with a mutation.
func simulate(t *testing.T, m mutation) (output string, err error) {
	t.Helper()
	args := []string{"test", "-vet=off", "-run", "^TestSimulation$"}
	if m.file != "" {
		args = append(args, "-overlay", overlay(t, m))
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, ".", "-traces", "300")...).CombinedOutput()
	return string(out), err
}

// overlay writes the mutated file beside the overlay that names it.
func overlay(t *testing.T, m mutation) string {
	t.Helper()
	file, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%q stands %d times in %s, want once", m.old, n, m.file)
	}
	dir := t.TempDir()
	mutated := filepath.Join(dir, "mutated.go")
	write(t, mutated, []byte(strings.Replace(string(source), m.old, m.new, 1)))
	text, err := json.Marshal(map[string]map[string]string{"Replace": {file: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	write(t, list, text)
	return list
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
