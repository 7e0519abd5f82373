package freshness

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// longest bounds every wait of the tests that use the real clock.
const longest = 20 * time.Second

// TestExec runs real programmes.
func TestExec(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("programmes must belong to root, so this test must run as root")
	}
	for name, tt := range map[string]struct {
		script string
		want   model.Measured // Err: a part of it
	}{
		"fresh":           {"echo 1.5", model.Measured{OK: true, Lag: 1500 * time.Millisecond}},
		"fresh, silent":   {"exit 0", model.Measured{OK: true}},
		"fresh, and more": {"echo 2 seconds behind; echo more", model.Measured{OK: true, Lag: 2 * time.Second}},
		"too old":         {"echo disk is Outdated; exit 1", model.Measured{OK: true, Stale: true, Err: "disk is Outdated"}},
		"too old by":      {"echo 3600; echo it lost its link; exit 1", model.Measured{OK: true, Stale: true, Lag: time.Hour, Err: "it lost its link"}},
		"unknown":         {"echo nfs-01 does not answer >&2; exit 2", model.Measured{Err: " cannot tell: it ended with exit code 2. It printed: nfs-01 does not answer"}},
		"killed":          {"kill -9 $$", model.Measured{Err: " cannot tell: signal 9 (killed) ended it"}},
		"no number":       {"echo all is well", model.Measured{Err: "does not begin with its lag in seconds: all is well"}},
		"negative":        {"echo -5", model.Measured{Err: "does not begin with its lag in seconds: -5"}},
		"not a number":    {"echo NaN; exit 1", model.Measured{Err: "does not begin with its lag in seconds: NaN"}},
		"without end":     {"sleep 60", model.Measured{Err: "it did not end within 1s"}},
		"endless output":  {"head -c 1000000 /dev/zero | tr '\\0' x; exit 2", model.Measured{Err: "cannot tell"}},
		"environment": {`echo "$FAIRLEAD_DIRECTOR $FAIRLEAD_SERVER $FAIRLEAD_ADDR $FAIRLEAD_ACTIVE $FAIRLEAD_ACTIVE_ADDR $FAIRLEAD_MAXLAG $FAIRLEAD_TIMEOUT $#"; exit 1`,
			model.Measured{OK: true, Stale: true, Err: "nfs nfs-02 192.168.10.101 nfs-01 192.168.10.100 60 5 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "check")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			results := make(chan model.Measured)
			m := New(results, slog.New(slog.DiscardHandler))
			of := target(one, two)
			of.Sync = model.Sync{Command: path, Interval: time.Hour, MaxLag: time.Minute}
			if name == "without end" { // the others have 5 s
				of.Sync.Interval = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), longest)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				m.Run(ctx)
			}()
			defer func() {
				cancel()
				<-ended
			}()
			begin := time.Now()
			m.Set([]Target{of})
			select {
			case got := <-results:
				if got.OK != tt.want.OK || got.Stale != tt.want.Stale || got.Lag != tt.want.Lag || !strings.Contains(got.Err, tt.want.Err) || len(got.Err) > 2*printedMost {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
				if got.OK && (got.Upto.Before(begin.Add(-got.Lag)) || got.Upto.After(got.At.Add(-got.Lag))) {
					t.Errorf("upto %v, at %v", got.Upto, got.At)
				}
				if got.Ref != (model.ServerRef{Director: "nfs", Server: "nfs-02"}) || got.Active != "nfs-01" {
					t.Errorf("it is about %+v", got)
				}
			case <-ctx.Done():
				t.Error("no result")
			}
		})
	}
}
