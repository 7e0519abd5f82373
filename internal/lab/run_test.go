package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"strings"
	"testing"

	"fairlead/internal/model"
)

// quickNote is the note's configuration with the fake director's check.
func quickNote() map[string]string {
	c := maps.Clone(note)
	c["l4.cfg"] = strings.Replace(c["l4.cfg"], "interval 10 port 2049 timeout 2", "interval 1 port 2049 timeout 1", 1)
	return c
}

// fakeOptions runs the lab with the fake director. It forwards in user space,
// where frames must be complete, as they must for native XDP.
func fakeOptions(f Fault) Options {
	return Options{Fault: f, Config: quickNote(), Program: os.Args[0], XDP: model.AttachNative,
		AttachPass: func(int) (io.Closer, error) { return io.NopCloser(nil), nil }}
}

func TestRunWithAFakeDirector(t *testing.T) {
	for f := Kill; f <= Planned; f++ {
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

func TestRunPrintsJSON(t *testing.T) {
	o := fakeOptions(Planned)
	o.JSON = true
	var out bytes.Buffer
	r, err := Run(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	d := json.NewDecoder(&out)
	if err := d.Decode(&got); err != nil || d.More() {
		t.Fatalf("want one JSON object: %v", err)
	}
	if got.Fault != Planned || got.Passed != r.Passed || got.Operations != r.Operations || got.Operations == 0 {
		t.Errorf("got %+v, want %+v", got, r)
	}
}

// TestRunEndsWithItsContext interrupts a run at its first line, as Ctrl-C does.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, fakeOptions(Hang), writerFunc(func(b []byte) (int, error) {
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
