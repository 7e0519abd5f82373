package main

import (
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
