package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"fairlead/internal/lab/outcome"
	"fairlead/internal/model"
)

// fakeOptions runs the lab with the fake director. It forwards in user space,
// where frames must be complete, as they must for native XDP.
func fakeOptions(f outcome.Fault) Options {
	return Options{Fault: f, Check: outcome.Fast, Config: note, Program: os.Args[0], XDP: model.AttachNative,
		AttachPass: func(int) (io.Closer, error) { return io.NopCloser(nil), nil }}
}

func TestRunWithAFakeDirector(t *testing.T) {
	for _, f := range []outcome.Fault{outcome.Link, outcome.Hang, outcome.Failback} {
		t.Run(f.String(), func(t *testing.T) {
			var out bytes.Buffer
			r, err := Run(t.Context(), fakeOptions(f), &out)
			t.Log("\n" + out.String())
			if err != nil {
				t.Fatal(err)
			}
			if !r.Passed {
				t.Errorf("did not pass: %q", r.Reasons)
			}
			if !strings.Contains(out.String(), "PASSED") {
				t.Error("the table does not say so")
			}
			wantNothingOf(t, os.Getpid())
		})
	}
}

// TestASplitIsCaught sends some frames to both servers. The servers and the
// clients survive that; the witness must not let it pass.
func TestASplitIsCaught(t *testing.T) {
	o := fakeOptions(outcome.Planned)
	o.Split = true
	var out bytes.Buffer
	r, err := Run(t.Context(), o, &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	if r.Passed || r.ConnsSplit == 0 || r.DataAstray == 0 || r.CaptureDrops > 0 {
		t.Errorf("passed %v, %d connections on two servers, %d packets astray, %d missed",
			r.Passed, r.ConnsSplit, r.DataAstray, r.CaptureDrops)
	}
	wantNothingOf(t, os.Getpid())
}

// TestTheNotesRecipeIsCaught: a director that leaves old connections where they
// are lets two servers write at once.
func TestTheNotesRecipeIsCaught(t *testing.T) {
	t.Setenv(keepVar, "1")
	var out bytes.Buffer
	r, err := Run(t.Context(), fakeOptions(outcome.Planned), &out)
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
	if r.Passed || r.DataAstray == 0 || r.ConnsSplit > 0 {
		t.Errorf("passed %v, %d packets astray, %d connections on two servers; want none of the last: each stays where it is",
			r.Passed, r.DataAstray, r.ConnsSplit)
	}
}

func TestRunPrintsJSON(t *testing.T) {
	o := fakeOptions(outcome.Planned)
	o.JSON = true
	var out bytes.Buffer
	r, err := Run(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	var got outcome.Result
	d := json.NewDecoder(&out)
	if err := d.Decode(&got); err != nil || d.More() {
		t.Fatalf("want one JSON object: %v", err)
	}
	if got.Fault != outcome.Planned || got.Passed != r.Passed || got.Operations != r.Operations || got.Operations == 0 {
		t.Errorf("got %+v, want %+v", got, r)
	}
}

// TestRunEndsWithItsContext interrupts a run at its first line, as Ctrl-C does.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, fakeOptions(outcome.Hang), writerFunc(func(b []byte) (int, error) {
		if bytes.Contains(b, []byte("watching")) {
			cancel()
		}
		return len(b), nil
	}))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	wantNothingOf(t, os.Getpid())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
