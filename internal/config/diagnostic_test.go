package config

import (
	"strings"
	"testing"

	"fairlead/internal/model"
)

func TestNothingGiven(t *testing.T) {
	_, diags := Load(nil)
	want := "error: the configuration is empty; write at least a flow and a director; to stop forwarding, use fairlead detach"
	if len(diags) != 1 || diags[0].String() != want {
		t.Errorf("got %v, want %s", diags, want)
	}
	if got := NewRendering(nil).Render(diags[0]); !strings.HasPrefix(got, "error: the configuration is empty\n") {
		t.Errorf("rendered as %q", got)
	}
}

// Whatever a text holds, messages can be shown on a terminal.
func TestMessagesAreSafe(t *testing.T) {
	name := "\x1b[2J" + strings.Repeat("x", 10000)
	sources := []Source{{"flow.cfg", []byte("flow " + name + "\n  mtach\ndirector " + name + "\n  server " + name + " 10.0.0.1 sory\n")}}
	_, diags := Load(sources)
	if len(diags) < 4 {
		t.Errorf("got %d diagnostics, want at least 4", len(diags))
	}
	for _, d := range diags {
		for _, text := range []string{d.String(), NewRendering(sources).Render(d)} {
			if strings.Contains(text, "\x1b") || len(text) > 2000 {
				t.Errorf("%q of %d bytes", text[:60], len(text))
			}
		}
	}
}

func TestRenderUnknownSource(t *testing.T) {
	d := Diagnostic{Pos: Pos{"other.cfg", 1, 1}, Message: "what", Hint: "do"}
	for _, d := range []Diagnostic{d, {Pos: Pos{"a.cfg", 9, 1}, Message: "what", Hint: "do"}} {
		want := d.Pos.String() + ": error: what\n  do\n"
		if got := NewRendering([]Source{{"a.cfg", []byte("flow\n")}}).Render(d); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestEmptyAtFirst: an empty configuration is a beginning, with the defaults.
func TestEmptyAtFirst(t *testing.T) {
	f, _ := Parse([]Source{{"a.cfg", nil}, {"b.cfg", []byte("# nothing yet\n")}})
	cfg, diags := CheckFirst(f)
	if Failed(diags) || len(diags) != 1 || !strings.Contains(diags[0].String(), "a.cfg:1:1: warning: the configuration is empty") {
		t.Errorf("got %v", diags)
	}
	if cfg.Web != model.DefaultWeb() || !cfg.LVS.ExpireNoDestConn {
		t.Errorf("got %+v", cfg)
	}
	if _, diags := Check(f); !Failed(diags) {
		t.Error("Check takes an empty configuration")
	}
}
