package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fairlead/internal/api"
)

// TestRefusals: what cannot run here says so in one line, and touches nothing.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	fine := write(t, dir, "fine.cfg", good)
	bad := write(t, t.TempDir(), "bad.cfg", strings.Replace(good, "mode gateway", "mode nat", 1))
	busy := serve(t, &fakeDaemon{})
	able := shell{root: true, release: "6.1.0"}
	for _, tt := range []struct {
		shell shell
		args  string
		code  int
		err   string
	}{
		{shell{}, "run -f " + fine, exitUnable, "fairlead: run needs root: run it with sudo\n"},
		{shell{}, "lab", exitUnable, "fairlead: lab needs root: run it with sudo\n"},
		{shell{}, "detach", exitUnable, "fairlead: detach needs root: run it with sudo\n"},
		{shell{root: true, release: "5.10.0-30-amd64"}, "run -f " + fine, exitUnable, "fairlead: the kernel is 5.10.0-30-amd64; Fairlead needs Linux 5.15 or newer\n"},
		{shell{root: true, release: "5.10.0"}, "lab", exitUnable, "fairlead: the kernel is 5.10.0; Fairlead needs Linux 5.15 or newer\n"},
		{able, "run -f -", exitUnable, "a reload reads it again"},
		{able, "run --connections 0 -f " + fine, exitUnable, "--connections must be at least 1"},
		{able, "run --attach fast -f " + fine, exitUnable, `--attach must be one of "auto","native","generic","tcx"`},
		{able, "run -f " + filepath.Join(dir, "no"), exitFailed, "no: no such file or directory"},
		{able, "run -f " + bad, exitFailed, "bad.cfg:5:8: error: mode nat is not supported yet"},
		{able, "run -f " + fine + " --socket " + busy, exitFailed, "another daemon answers there; stop it first"},
		{able, "lab --fault flood", exitUnable, `unknown fault "flood": it is one of kill, link, blackhole, novip, hang`},
		{able, "lab-server", exitUnable, "missing flags"},
	} {
		got := tt.shell.run(t.Context(), strings.Fields(tt.args)...)
		if got.code != tt.code || !strings.Contains(got.err, tt.err) || got.out != "" {
			t.Errorf("fairlead %s: got %+v, want %d %s", tt.args, got, tt.code, tt.err)
		}
	}
	if _, err := api.NewClient(busy).Status(t.Context()); err != nil {
		t.Errorf("the running daemon was disturbed: %v", err)
	}
}

// TestLabRunsTheExample: the lab's configuration is the example's, file by file.
func TestLabRunsTheExample(t *testing.T) {
	files, err := exampleConfig()
	if err != nil || len(files) != 3 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for name, text := range files {
		want, err := os.ReadFile(filepath.Join("../../examples/nfs-ha", name))
		if err != nil || text != string(want) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
}

func TestLogFormats(t *testing.T) {
	var text, lines bytes.Buffer
	newLog(&text, "text").Info("switch decided", slog.String("director", "nfs"))
	newLog(&lines, "json").Info("switch decided", slog.String("director", "nfs"))
	if !strings.Contains(text.String(), `msg="switch decided" director=nfs`) {
		t.Errorf("text: got %s", text.String())
	}
	var entry struct{ Msg, Director string }
	if err := json.Unmarshal(lines.Bytes(), &entry); err != nil || entry.Msg != "switch decided" || entry.Director != "nfs" {
		t.Errorf("JSON: got %s, %v", lines.String(), err)
	}
}
