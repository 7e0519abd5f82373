package hook

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/model"
)

// Call is one run of a hook.
type Call struct {
	Kind     model.HookKind
	Hook     model.Hook
	Director string
	VIPs     []netip.Addr
	Old, New model.Server // Old.Name "": there was none
	Epoch    uint64       // of the switch under way
	Reason   model.Reason
	Why      string
}

// Outcome is how a run ended.
type Outcome struct {
	Err    error // nil: success; else in plain words, with the last of the output
	Took   time.Duration
	Output string // the last of what it printed
}

// facts is a call as the hook reads it on its standard input.
type facts struct {
	Hook     model.HookKind `json:"hook"`
	Director string         `json:"director"`
	VIPs     []string       `json:"vips"`
	Old      string         `json:"old"`
	OldAddr  string         `json:"old_addr"`
	New      string         `json:"new"`
	NewAddr  string         `json:"new_addr"`
	Epoch    uint64         `json:"epoch"`
	Reason   model.Reason   `json:"reason"`
	Why      string         `json:"why"`
	Timeout  float64        `json:"timeout"` // in seconds
}

func (c Call) facts() facts {
	f := facts{
		Hook: c.Kind, Director: c.Director, VIPs: []string{},
		Old: c.Old.Name, OldAddr: text(c.Old.Addr), New: c.New.Name, NewAddr: text(c.New.Addr),
		Epoch: c.Epoch, Reason: c.Reason, Why: c.Why, Timeout: c.Hook.Timeout.Seconds(),
	}
	for _, v := range c.VIPs {
		f.VIPs = append(f.VIPs, v.String())
	}
	return f
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func (f facts) input() ([]byte, error) {
	b, err := json.Marshal(f)
	return append(b, '\n'), err
}

// list is a call as the hook finds it in its environment.
func (f facts) list() [][2]string {
	return [][2]string{
		{"HOOK", f.Hook.String()},
		{"DIRECTOR", f.Director},
		{"VIPS", strings.Join(f.VIPs, " ")},
		{"OLD", f.Old},
		{"OLD_ADDR", f.OldAddr},
		{"NEW", f.New},
		{"NEW_ADDR", f.NewAddr},
		{"EPOCH", strconv.FormatUint(f.Epoch, 10)},
		{"REASON", f.Reason.String()},
		{"WHY", f.Why},
		{"TIMEOUT", strconv.FormatFloat(f.Timeout, 'f', -1, 64)},
	}
}
