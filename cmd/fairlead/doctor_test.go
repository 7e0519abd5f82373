package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

func TestDoctorRefuses(t *testing.T) {
	if got := (shell{}).run(t.Context(), "doctor", "-f", "a.cfg"); got.code != exitUnable || !strings.Contains(got.err, "needs root") {
		t.Errorf("without root: got %+v", got)
	}
	if got := (shell{root: true, in: "flow\n"}).run(t.Context(), "doctor", "-f", "-"); got.code != exitFailed || !strings.Contains(got.err, "nothing was looked at") {
		t.Errorf("a configuration with errors: got %+v", got)
	}
}

func TestPrintDiagnosis(t *testing.T) {
	d := model.Diagnosis{
		Took: 1234 * time.Millisecond,
		Findings: []model.Finding{
			{Kind: model.FindForwarding, What: "this machine forwards packets (ip_forward is 1)", Why: "It bites.", Do: "sysctl -w net.ipv4.ip_forward=0"},
			{Kind: model.FindNoVIP, Director: "nfs", Server: "nfs-02", What: strings.Repeat("word ", 20), Why: "It bites.", Do: "mend it"},
		},
		Unseen: []model.Unseen{{What: "the clock of nfs-02", Because: "it answers no ICMP timestamp request"}},
	}
	const want = `forwarding  this machine
  what  this machine forwards packets (ip_forward is 1)
  why   It bites.
  do    sysctl -w net.ipv4.ip_forward=0

no-vip  nfs/nfs-02
  what  word word word word word word word word word word word word word word
        word word word word word word
  why   It bites.
  do    mend it

Not looked at:
  the clock of nfs-02: it answers no ICMP timestamp request

2 findings in 1.2 s; 1 thing not looked at
`
	var got strings.Builder
	if err := printDiagnosis(&got, d, false); err != nil || got.String() != want {
		t.Errorf("got %v\n%s", err, got.String())
	}
	if judged(d, false) == nil {
		t.Error("findings end with success")
	}
	d.Findings = nil
	if judged(d, false) != nil || judged(d, true) == nil {
		t.Error("what was not looked at counts only with --strict")
	}
	if err := printDiagnosis(&got, model.Diagnosis{}, false); err != nil || !strings.HasSuffix(got.String(), "\nno findings in 0.0 s\n") {
		t.Errorf("got %v\n%s", err, got.String())
	}
}

// TestWatch tells what changed between two looks.
func TestWatch(t *testing.T) {
	finding := func(server string) model.Finding {
		return model.Finding{Kind: model.FindHandles, Director: "nfs", Server: server, What: "other handles on " + server, Why: "y", Do: "d"}
	}
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.Local)
	before := model.Diagnosis{Findings: []model.Finding{finding("nfs-01")}}
	now := model.Diagnosis{At: at, Findings: []model.Finding{finding("nfs-02")}}
	var out, trouble strings.Builder
	env := &surroundings{out: &out, err: &trouble}
	c := &doctorCommand{}
	if err := c.tell(env, &before, now, nil); err != nil {
		t.Fatal(err)
	}
	const want = "03:00:00  mended  other handles on nfs-01\n03:00:00  new     other handles on nfs-02\n  do              d\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	if err := c.tell(env, &now, now, nil); err != nil || out.String() != "" {
		t.Errorf("nothing changed: got %v, %q", err, out.String())
	}
	if err := c.tell(env, &now, now, errors.New("no daemon")); err != nil || !strings.Contains(trouble.String(), "not looked: no daemon") {
		t.Errorf("a look that failed: got %v, %q", err, trouble.String())
	}
	if got := (shell{root: true, in: "flow\n"}).run(t.Context(), "doctor", "--watch", "--interval", "1s", "-f", "-"); got.code != exitUnable {
		t.Errorf("an interval of a second: got %+v", got)
	}
}
