package vm

import (
	"strings"
	"testing"
	"time"

	"fairlead/vm/record"
)

// stats is the kernel's own, shortened.
const stats = `device none mounted on /run with fstype tmpfs
device 192.168.10.50:/export/v3 mounted on /mnt/v3 with fstype nfs statvers=1.1
	age:	61
	events:	3 6 0 0 6 3 16 2310 0 0 0 2315 0 0 0 2309 0 0 0 0 129 0 0 0 1 0 0
	xprt:	tcp 990 0 10 0 0 4583 4577 0 19868 0 3 362 2025
device 192.168.10.50:/v4.1 mounted on /mnt/v4.1 with fstype nfs4 statvers=1.1
	events:	0 0 0 0 0 1 18 2147 0 0 0 2152 0 0 0 2147 0 0 0 0 129 0 0 0 7 0 0
`

func TestReadDelays(t *testing.T) {
	for mount, want := range map[string]int{"/mnt/v3": 1, "/mnt/v4.1": 7} {
		if got, err := readDelays(stats, mount); got != want || err != nil {
			t.Errorf("%s: got %d, %v; want %d", mount, got, err, want)
		}
	}
	for what, text := range map[string]string{
		"no mount":  strings.ReplaceAll(stats, "/mnt/v3", "/mnt/v2"),
		"no count":  strings.Replace(stats, "129 0 0 0 1 0 0", "129", 1),
		"no number": strings.Replace(stats, "129 0 0 0 1", "129 0 0 0 x", 1),
		"no mounts": "",
	} {
		if got, err := readDelays(text, "/mnt/v3"); err == nil {
			t.Errorf("%s: got %d", what, got)
		}
	}
}

// TestPostponed: one call waited as a server told it, the other by itself.
func TestPostponed(t *testing.T) {
	const ms = int64(time.Millisecond)
	told := record.Record{Slow: []record.Call{{What: "read", Begin: 1000 * ms, End: 6110 * ms}, {What: "write", Begin: 1000 * ms, End: 1250 * ms}}}
	for n, want := range map[int][3]int64{0: {5110, 0, 4960}, 1: {5110, 5000, 100}} {
		r := judge("x", kill, job{application, "v3"}, told, 900*ms, 1150*ms, excuse("v3", grace{}, n))
		if got := [3]int64{r.stall.Milliseconds(), r.told.Milliseconds(), r.rest.Milliseconds()}; got != want {
			t.Errorf("%d postponed: got stall, told and rest of %v ms, want %v", n, got, want)
		}
	}
	refused := record.Record{Slow: []record.Call{{What: "read", Begin: 1000 * ms, End: 4200 * ms}}}
	if r := judge("x", kill, job{application, "v3"}, refused, 900*ms, 1150*ms, excuse("v3", grace{}, 1)); r.told != 0 || r.rest < 3*time.Second {
		t.Errorf("a wait of 3 s is nobody else's: %+v", r)
	}
}
