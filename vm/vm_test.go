package vm

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"
)

var program = flag.String("fairlead", "", "a static fairlead to test, instead of one built from these sources")

// TestKernelClient boots the machine, runs every fault through both systems, and
// prints the table.
func TestKernelClient(t *testing.T) {
	begin := time.Now()
	progress := func(words string) { fmt.Fprintf(t.Output(), "%3.0f s  %s\n", time.Since(begin).Seconds(), words) }
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Minute)
	defer cancel()
	s, err := open(ctx, options{cache: ".cache", dir: t.TempDir(), fairlead: *program, progress: progress})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			tell(t, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()

	var results []result
	for _, part := range []struct {
		director director
		faults   []string
	}{
		{fairlead{}, []string{link, kill}},
		{ipvs{}, []string{link, kill}},
		{fairlead{}, []string{restart}}, // last: it leaves the servers as no other does
	} {
		found, err := rehearse(ctx, s, part.director, part.faults, progress)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, found...)
	}
	if _, err := fmt.Fprintf(t.Output(), "\nLinux %s; a check every 10 s with a timeout of 2 s; each fault just after one\n%s\n",
		s.Release, table(results)); err != nil {
		t.Error(err)
	}
	for _, promise := range broken(results) {
		t.Error(promise)
	}
}

// tell shows what the guest said.
func tell(t *testing.T, s *site) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, command := range []string{
		"tail -n 40 /run/fairlead.log", "tail -n 20 /run/keepalived.log", "cat /run/application.* /run/nfs-0?.log", "dmesg | tail -n 20",
	} {
		out, err := s.Run(ctx, command)
		t.Logf("%s: %v\n%s", command, err, out)
	}
	t.Log(s.Logs(30))
}
