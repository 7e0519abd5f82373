package api

import (
	"time"

	"fairlead/internal/model"
)

// Live is the status for who watches it: what has a name is in a map, so that a
// change of one thing is a small merge patch. Order is the place in the
// configuration.
type Live struct {
	At         time.Time                        `json:"at"`
	Version    string                           `json:"version"`
	PID        int                              `json:"pid"`
	Since      time.Time                        `json:"since"`
	Heartbeat  time.Time                        `json:"heartbeat,omitzero"` // when the daemon's loop last went round
	Generation uint64                           `json:"generation"`
	Sources    []string                         `json:"sources"`
	Interfaces map[string]model.InterfaceStatus `json:"interfaces"`
	Services   map[string]model.ServiceStatus   `json:"services"`
	Alarms     []model.Alarm                    `json:"alarms"`
	Verdicts   map[string]model.Counter         `json:"verdicts"`
	Table      model.TableStatus                `json:"connection_table"`
	Flows      map[string]*model.FlowStatus     `json:"flows"`
	Directors  map[string]*LiveDirector         `json:"directors"`
	Blind      string                           `json:"blind,omitempty"` // why the kernel could not be read
}

// LiveDirector is a director with its servers by name.
type LiveDirector struct {
	model.DirectorStatus
	Order   int                   `json:"order"`
	Servers map[string]LiveServer `json:"servers"`
}

// LiveServer is a server and its place.
type LiveServer struct {
	model.ServerStatus
	Order int `json:"order"`
}

// newLive puts a status, as look gives it, into that form. It shares the
// status's parts: neither is changed afterwards.
func newLive(s model.Status) *Live {
	l := &Live{At: s.At, Version: s.Version, PID: s.PID, Since: s.Since, Heartbeat: s.Turned, Generation: s.Generation,
		Sources: s.Sources, Alarms: s.Alarms, Verdicts: s.Verdicts, Table: s.Table, Blind: s.Blind,
		Interfaces: make(map[string]model.InterfaceStatus, len(s.Interfaces)),
		Services:   make(map[string]model.ServiceStatus, len(s.Services)),
		Flows:      make(map[string]*model.FlowStatus, len(s.Flows)),
		Directors:  make(map[string]*LiveDirector, len(s.Directors)),
	}
	for _, i := range s.Interfaces {
		l.Interfaces[i.Name] = i
	}
	for _, v := range s.Services {
		l.Services[v.Name] = v
	}
	for i := range s.Flows {
		l.Flows[s.Flows[i].Name] = &s.Flows[i]
	}
	for i, d := range s.Directors {
		live := &LiveDirector{DirectorStatus: d, Order: i, Servers: make(map[string]LiveServer, len(d.Servers))}
		for j, server := range d.Servers {
			live.Servers[server.Name] = LiveServer{server, j}
		}
		l.Directors[d.Name] = live
	}
	return l
}
