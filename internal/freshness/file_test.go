package freshness

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fairlead/internal/nfswalk"
	"fairlead/internal/nfswire"
	"fairlead/internal/rpc"
)

func TestWords(t *testing.T) {
	of := target(one, two)
	for _, tt := range []struct {
		err  error
		want string // at the end
	}{
		{nfswire.StatusReadOnly, "(status 30): the director needs a directory that it may write to"},
		{nfswire.StatusAccess, "with root_squash the director is nobody there: install -d -o nobody -g nogroup /srv/nfs"},
		{nfswire.StatusNotOwner, "install -d -o nobody -g nogroup /srv/nfs"},
		{nfswire.StatusNoEntry, "no such file or directory (status 2)"}, // version 3 makes it
		{&rpc.Refusal{Words: "the server offers version 4 of nfs, not 3", Low: 4, High: 4}, "not 3: say which with synccheck version"},
		{&rpc.Refusal{Words: "the server refuses the credential"}, "the server refuses the credential"},
		{errors.New("no answer in time"), "no answer in time"},
	} {
		if got := explain(fmt.Errorf("WRITE: %w", tt.err), of); !strings.HasSuffix(got.Error(), tt.want) || !errors.Is(got, tt.err) {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
	of.Sync.Version = "4"
	if got := explain(nfswire.StatusNoEntry, of); !strings.Contains(got.Error(), "with version 4 it must be made once") {
		t.Errorf("version 4: got %q", got)
	}
}

func TestWhatIsMounted(t *testing.T) {
	for _, tt := range []struct {
		export, file string
		want         nfswalk.Target
	}{
		{"", "/srv/nfs/beat", nfswalk.Target{Export: "/srv/nfs", File: "beat"}},
		{"", "/beat", nfswalk.Target{Export: "/", File: "beat"}},
		{"/srv/nfs", "/deep/beat", nfswalk.Target{Export: "/srv/nfs", File: "/deep/beat"}},
	} {
		of := target(one, two)
		of.Sync.Export, of.Sync.File = tt.export, tt.file
		tt.want.Port = 2049
		if got := (network{}).target(of); got != tt.want {
			t.Errorf("%s, %s: got %+v, want %+v", tt.export, tt.file, got, tt.want)
		}
	}
}
