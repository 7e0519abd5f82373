package web

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// TestRoster: what the command line changes is in the journal of the daemon.
func TestRoster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, plain)
		time.Sleep(2 * lookEvery)
		if got := s.daemon.audited(); len(got) != 0 {
			t.Errorf("nothing changed, and the journal has %q", got)
		}
		s.token(model.RoleAdmin)
		for _, err := range []error{
			s.access.Remove("viewer"),
			s.access.SetRole("operator", model.RoleViewer),
			s.access.SetPassword("admin", "another long one"),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * lookEvery)
		want := []string{
			"root (command line) the user viewer was removed",
			"root (command line) the token token-admin was added, with the role admin",
			"root (command line) the user admin got another secret",
			"root (command line) the user operator got the role viewer, and had operator",
		}
		if got := s.daemon.audited(); !slices.Equal(got, want) {
			t.Errorf("the journal has %q, want %q", got, want)
		}
	})
}
