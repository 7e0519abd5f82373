package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestCheckSaysWhenItFailsBack: for each director, on the output and in JSON,
// and only when there is no error.
func TestCheckSaysWhenItFailsBack(t *testing.T) {
	const note = "director nfs: fails back by order only (manual), because it serves NFS (check port 2049); option failback auto would change that"
	plain := shell{in: good}.run(t.Context(), "check", "-f", "-")
	if !strings.HasPrefix(plain.out, "ok: ") || !strings.HasSuffix(plain.out, "\n"+note+"\n") || plain.code != exitDone {
		t.Errorf("got %+v", plain)
	}
	var got checked
	printed := shell{in: good}.run(t.Context(), "check", "--json", "-f", "-")
	if err := json.Unmarshal([]byte(printed.out), &got); err != nil || len(got.Notes) != 1 || got.Notes[0] != note {
		t.Errorf("got %+v, %v", printed, err)
	}
	bad := strings.Replace(good, "balance", "blance", 1)
	if got := (shell{in: bad}).run(t.Context(), "check", "-f", "-"); strings.Contains(got.out, "director nfs:") {
		t.Errorf("with an error: got %+v", got)
	}
	if got := (shell{in: bad}).run(t.Context(), "check", "--json", "-f", "-"); !strings.Contains(got.out, `"notes": []`) {
		t.Errorf("with an error: got %+v", got)
	}
}

// TestCheckWarnsOfMissingFence: the application note's own text is accepted, and
// says what it does not protect from.
func TestCheckWarnsOfMissingFence(t *testing.T) {
	unfenced := strings.Replace(good, "  hook fence /usr/bin/true\n", "", 1)
	got := shell{in: unfenced}.run(t.Context(), "check", "-f", "-")
	if got.code != exitDone || !strings.Contains(got.out, "no errors, 1 warning\n") || !strings.Contains(got.err, "nothing fences the servers of director nfs") {
		t.Errorf("got %+v", got)
	}
}
