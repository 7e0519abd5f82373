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

const healthFile = "../health/health.go"

var mutations = []mutation{
	{"one failure too many until a server is down", healthFile,
		"case h.signs() >= c.Fall:", "case h.signs() > c.Fall:"},
	{"two failures of the same instant count twice", healthFile,
		"h.Failures > 0 && h.Began.Before(h.counted)", "h.Failures > 0 && h.Level == model.HealthDown && h.counted.IsZero()"},
	{"one pass too few until a server returns", healthFile,
		"h.Passes < c.Rise {", "h.Passes < c.Rise-1 {"},
	{"a result that came twice is counted twice", "suspicion.go",
		"!r.At.After(srv.health.Heard)", "r.At.Before(srv.health.Heard)"},
	{"a failure is not forgotten when the next probe passes", healthFile,
		"h.Failures, h.Failing, h.confirm = 0, time.Time{}, time.Time{}", "h.Failing, h.confirm = time.Time{}, time.Time{}"},
	{"a due confirmation waits for a later event", healthFile,
		"!h.confirm.IsZero() && !h.confirm.After(at)", "!h.confirm.IsZero() && h.confirm.Before(at)"},
	{"a hint does not count", healthFile,
		"return h.Failures + 1", "return h.Failures"},
	{"a pass does not end a suspicion", healthFile,
		"if !h.Began.Before(h.hinted) {", "if h.Began.Before(h.hinted) {"},
	{"hints hammer a server", healthFile,
		"ago >= 0 && ago < askGap {", "ago < 0 {"},
	{"a server is blamed for the director's own interface", "../network/network.go",
		"if !ok || !l.Up {", "if !ok {"},
	{"a director that returns by order only fails back by itself", "activity.go",
		"|| d.Failback == model.FailbackManual ||", "||"},
	{"a preferred server is taken too early", "activity.go",
		"d.Failback == model.FailbackDelay && at.Before(end)", "d.Failback == model.FailbackDelay && end.Before(at)"},
	{"an operator's order is undone", "activity.go",
		"|| d.choice.reason == model.ReasonOperator || d.choice.forced", "|| d.choice.forced"},
	{"an operator's force is undone", "activity.go",
		"now.health.Failed() && !d.choice.forced", "now.health.Failed()"},
	{"the first choice does not wait for the checks", "activity.go",
		"may := func(s server) bool { return s.health.Level != model.HealthDown && s.candidate() }", "may := server.usable"},
	{"an adopted server is left before its check says down", "activity.go",
		"case now.health.Failed() &&", "case !now.health.Usable() &&"},
	{"a switch to a server that may not answer", "activity.go",
		"fresh(s) && s.health.Answers(doubt, at, d.Check)", "fresh(s) && s.usable() && doubt == doubt"},
	{"a switch while nobody answers, to the first that returns", "activity.go",
		"if now.health.Began.Before(d.server(v.to).health.Passing) {", "if now.health.Began.IsZero() {"},
	{"the server that was active last gets no time to return", "activity.go",
		"end := since.Add(d.LastActive); at.Before(end)", "end := since.Add(d.LastActive); end.Before(since)"},
	{"two switches by itself too soon", "activity.go",
		"!at.Before(d.choice.auto) && at.Before(end)", "d.choice.auto.After(end)"},
	{"a disabled server is chosen", "state.go",
		"return s.Weight > 0 && s.mark == model.MarkNone", "return s.Weight > 0"},
	{"another address under the same name keeps its connections", "state.go",
		"s == nil || s.Addr != d.choice.addr", "s == nil"},
	{"a director that returns begins anew", "configure.go",
		"old.director(cfg.Name) == nil: //", "old.director(cfg.Name) == nil && d.turn.late: //"},
	{"a reload forgets health", "configure.go",
		"n.health = was.health\n", "n.health.Why = was.health.Why\n"},
	{"a reload forgets marks", "memory.go",
		"srv.mark = m.Mark\n", "srv.mark = model.MarkNone\n"},
	{"a switch without a new epoch", "turn.go",
		"t.to.Name, t.reason, t.why, d.choice.epoch+1, at", "t.to.Name, t.reason, t.why, max(d.choice.epoch, 1), at"},
	{"Step writes into the state that it was given", "state.go",
		"slices.Clone(s.directors[i].servers)", "s.directors[i].servers"},
	{"an order to a server whose health is unknown", "order.go",
		"case !srv.usable() && !force &&", "case srv.health.Level == model.HealthDown && !force &&"},
	{"sorry servers are ranked by weight", "../schedule/schedule.go",
		"return !c.Sorry && c.Weight > b.Weight", "return c.Weight > b.Weight"},
	{"the old server is not fenced", "turn.go",
		"if v.to == \"\" || !fence && !promote {", "if v.to == \"\" || !promote || fence && false {"},
	{"a fence hook that fails is passed over", "turn.go",
		"if hook.Policy == model.HookRequire && !t.force {", "if hook.Policy == model.HookTry && !t.force {"},
	{"a fence counts for another server too", "order.go",
		"t.old, t.fenced = was.to, false", "t.fenced = true"},
	{"the flip does not wait for the check", "turn.go",
		"r.At.Add(-r.Latency).Before(t.since)", "r.At.Before(t.since)"},
	{"a switch under way is forgotten by a restart", "memory.go",
		"case p != nil && m.Epoch >= a.Epoch:", "case p != nil && m.Epoch > a.Epoch:"},
	{"the kernel counts although the memory is newer", "memory.go",
		"case m.Epoch > a.Epoch:", "case m.Epoch > a.Epoch && !pinned:"},
	{"a hold that nobody remembers ends by itself", "memory.go",
		"case a.Hold && m.Epoch <= a.Epoch, e.Lost", "case e.Lost"},
	{"a lost memory is a first start", "memory.go",
		"e.Lost != \"\" && nothing", "e.Lost == \"\" && nothing && a.Hold"},
	{"two servers of a balanced director in one epoch", "balance.go",
		"*sh = share{epoch: d.choice.epoch}", "*sh = share{epoch: 1}"},
	{"a sorry server shares with the regular ones", "balance.go",
		"(!srv.Sorry || !regular)", "(!srv.Sorry || regular)"},
	{"a balanced director keeps a server that is down", "balance.go",
		"case lost || over ||", "case over ||"},
	{"a server that was not asked since another one answered is given up", "balance.go",
		"&& !srv.health.Began.Before(o.health.Passing)", ""},
	{"a server is given up although nobody else answers now", "balance.go",
		"o.health.Answers(srv.health.Doubt(), at, d.Check)", "o.usable()"},
	{"the connections of a quiescent server end", "balance.go",
		"srv.Sorry && regular // its", "true // its"},
	{"a sorry server takes the place of one that is still asked", "balance.go",
		"|| o.share.in && o.candidate()", "|| o.usable() && o.share.in"},
	{"a server that was being promoted is not fenced", "order.go",
		"if old.Name == \"\" {\n\t\told = d.former()", "if true {\n\t\told = d.former()"},
	{"clients wait for ever", "suspicion.go",
		"|| !at.Before(d.release()) {", "{"},
	{"clients are let go while the switch holds", "suspicion.go",
		"if d.held.IsZero() || d.turn.step != model.StepNone {\n\t\t\tcontinue", "if d.held.IsZero() {\n\t\t\tcontinue"},
	{"a copy that is too old is taken", "activity.go",
		"fresh := func(s server) bool { return other(s) && !d.outdated(s) }", "fresh := other"},
	{"a copy that is too old is preferred", "activity.go",
		"s.Name == now.Name && s.kept() || s.sound() && !d.outdated(s)", "s.Name == now.Name && s.kept() || s.sound()"},
	{"a copy that is too old is the first choice", "activity.go",
		"return may(s) && !d.outdated(s) })", "return may(s) })"},
	{"a copy that is too old is taken for a server that is drained", "order.go",
		"fresh := func(s server) bool { return s.Name != now.Name && !d.outdated(s) }", "fresh := func(s server) bool { return s.Name != now.Name }"},
	{"a copy is fresh for ever", "copy.go",
		"limit > 0 && end.Sub(c.upto) > limit+d.overlooked()", "limit < 0"},
	{"a copy that lacks more than maxlag is fresh", "copy.go",
		"limit > 0 && c.lag > limit:", "limit > 0 && c.lag > 2*limit:"},
	{"a programme's word on a copy does not count", "copy.go",
		"case c.stale ||", "case c.stale && limit < 0 ||"},
	{"a copy is compared with a server that was active before", "copy.go",
		"|| d.active().Name != r.Active {", "{"},
	{"clients are refused while a server is not known yet", "desired.go",
		"s.candidate() && s.health.Level == model.HealthUnknown", "false"},
	{"clients are refused while the active server passes", "desired.go",
		"s.health.Level != model.HealthDown\n", "s.health.Level == model.HealthDown\n"},
	{"an order is never answered", "turn.go",
		"actions = append(actions, Reply{ID: t.order, Text: fmt.Sprintf(\"%s is the", "_ = append(actions, Reply{ID: t.order, Text: fmt.Sprintf(\"%s is the"},
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
	out, err := exec.CommandContext(t.Context(), "go", append(args, ".", "-traces", "1500")...).CombinedOutput()
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
