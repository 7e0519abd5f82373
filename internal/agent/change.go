package agent

import (
	"slices"

	"fairlead/internal/model"
)

// differs tells whether two views differ in more than what changes all the time:
// the latency and the instant of a probe.
func differs(old, v view) bool {
	return old.generation != v.generation || old.failed != v.failed || !slices.Equal(old.alarms, v.alarms) ||
		!slices.EqualFunc(old.directors, v.directors, sameDirector) || !slices.EqualFunc(old.flows, v.flows, sameFlow)
}

func sameDirector(a, b model.DirectorStatus) bool {
	return a.Name == b.Name && a.Desired == b.Desired && a.Epoch == b.Epoch && a.Step == b.Step && a.Why == b.Why &&
		a.Note == b.Note && sameSwitch(a.LastSwitch, b.LastSwitch) && slices.EqualFunc(a.Servers, b.Servers, sameServer)
}

func sameSwitch(a, b *model.Switch) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

func sameServer(a, b model.ServerStatus) bool {
	a.LastProbe, a.Latency = b.LastProbe, b.Latency
	return a == b
}

func sameFlow(a, b model.FlowStatus) bool {
	return a.Name == b.Name && slices.Equal(a.VIPs, b.VIPs)
}
