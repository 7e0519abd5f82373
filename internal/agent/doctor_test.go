package agent

import (
	"context"
	"errors"
	"slices"
	"testing"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// TestDriftIsAnEvent lets the doctor find something, find it again, and no longer.
func TestDriftIsAnEvent(t *testing.T) {
	on(t, func(t *testing.T, b *bench) {
		handles := model.Finding{Kind: model.FindHandles, Director: "nfs", Server: "nfs-02", What: "the root file handle of /data is another one", Why: "It bites."}
		var says []model.Finding
		var asked model.Config
		b.agent.parts.Doctor = func(_ context.Context, cfg model.Config) model.Diagnosis {
			asked = cfg
			return model.Diagnosis{Findings: says}
		}
		if _, err := b.agent.Diagnosis(); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("before the first look: %v", err)
		}
		eva := model.Actor{Name: "eva"}
		look := func(want ...model.Finding) {
			t.Helper()
			says = want
			if _, err := b.agent.Examine(t.Context(), eva); err != nil {
				t.Fatal(err)
			}
			pass(0)
			d, err := b.agent.Diagnosis()
			if err != nil || !slices.Equal(d.Findings, want) {
				t.Errorf("got %+v, %v", d, err)
			}
		}
		notReady := func() string { return b.agent.Status().Directors[0].Servers[1].NotReady }
		look(handles)
		look(handles)
		if got := notReady(); got != handles.What {
			t.Errorf("not ready: %q", got)
		}
		look()
		if got := notReady(); got != "" {
			t.Errorf("ready, yet: %q", got)
		}
		var got []string
		for _, e := range b.events.Read(0, 1000) {
			if e.Kind == model.EventFinding || e.Kind == model.EventMended {
				got = append(got, e.Kind.String()+" "+e.Server+" "+e.By+": "+e.Text)
			}
		}
		want := []string{"finding nfs-02 eva: the doctor found (handles): " + handles.What, "mended nfs-02 eva: the doctor no longer finds (handles): " + handles.What}
		if !slices.Equal(got, want) {
			t.Errorf("got events %q, want %q", got, want)
		}
		if len(asked.Directors) != 1 || asked.Directors[0].Name != "nfs" {
			t.Errorf("the doctor was asked for %+v", asked)
		}
	})
}
