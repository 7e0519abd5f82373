package dataplane

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"fairlead/internal/model"
)

// verdictNames are the names of enum verdict of bpf/verdict.h, by value.
var verdictNames = [...]string{
	directorVerdictVERDICT_PASS:           "pass",
	directorVerdictVERDICT_PERMIT:         "permit",
	directorVerdictVERDICT_FORWARD:        "forward",
	directorVerdictVERDICT_FORWARD_OLD:    "forward-old",
	directorVerdictVERDICT_RESET:          "reset",
	directorVerdictVERDICT_ARP_REPLY:      "arp-reply",
	directorVerdictVERDICT_REJECT:         "reject",
	directorVerdictVERDICT_TOO_BIG:        "too-big",
	directorVerdictVERDICT_DENY:           "deny",
	directorVerdictVERDICT_DROP_NO_SERVER: "drop-no-server",
	directorVerdictVERDICT_DROP_OLD:       "drop-old",
	directorVerdictVERDICT_DROP_MALFORMED: "drop-malformed",
	directorVerdictVERDICT_HELD:           "held",
	directorVerdictVERDICT_DROP_HOLD:      "drop-hold",
	directorVerdictVERDICT_DROP_TOO_BIG:   "drop-too-big",
}

// Traffic reads the counters and walks the connection table.
func (p *Plane) Traffic() (model.Traffic, error) {
	names := *p.names.Load()
	t := model.Traffic{
		Verdicts: map[string]model.Counter{},
		Flows:    map[string]map[string]model.Counter{},
		Servers:  map[model.ServerRef]model.Counter{},
		Conns:    map[model.ServerRef]model.ConnCount{},
		Table:    p.maps.tableStatus(),
		Lost:     atomic.LoadUint64(&p.maps.state.Watch.Lost),
	}
	servers, last := serversOf(names), 0
	for k := range names {
		if k.kind == kindFlow {
			last = max(last, int(k.index))
		}
	}
	err := p.maps.eachRow(last, func(index int, row *[columns]model.Counter) {
		flow, director := flowAndDirector(names[key{kind: kindFlow, index: uint16(index)}])
		if index == 0 || flow != "" {
			addFlow(&t, row, flow, director, servers[director])
		}
	})
	if err != nil {
		return t, err
	}
	p.countConnections(&t, names)
	err = p.countTemplates(&t, names)
	return t, err
}

// addFlow adds a flow's row of counters; the row without a flow has index 0.
func addFlow(t *model.Traffic, row *[columns]model.Counter, flow, director string, servers map[int]string) {
	for column, n := range row {
		if n == (model.Counter{}) {
			continue
		}
		verdict := int(directorVerdictVERDICT_FORWARD)
		if column < counterColumn {
			verdict = column
		} else if server, ok := servers[column-counterColumn]; ok {
			ref := model.ServerRef{Director: director, Server: server}
			t.Servers[ref] = t.Servers[ref].Add(n)
		}
		if verdict >= len(verdictNames) {
			continue
		}
		name := verdictNames[verdict]
		t.Verdicts[name] = t.Verdicts[name].Add(n)
		if flow == "" {
			continue
		}
		if t.Flows[flow] == nil {
			t.Flows[flow] = map[string]model.Counter{}
		}
		t.Flows[flow][name] = t.Flows[flow][name].Add(n)
	}
}

// serversOf are the servers of each director, by index.
func serversOf(names map[key]string) map[string]map[int]string {
	all := map[string]map[int]string{}
	for k, name := range names {
		if k.kind != kindServer {
			continue
		}
		director := names[key{kind: kindDirector, index: uint16(k.director)}]
		if all[director] == nil {
			all[director] = map[int]string{}
		}
		all[director][int(k.index)] = name
	}
	return all
}

// flowAndDirector are what flowName made one name of.
func flowAndDirector(name string) (flow, director string) {
	flow, director, _ = strings.Cut(name, ">")
	return flow, director
}

func directorIndex(names map[key]string, director string) (index uint8, known bool) {
	for k, name := range names {
		if k.kind == kindDirector && name == director {
			return uint8(k.index), true
		}
	}
	return 0, false
}

// rowsAtOnce is how many rows of counters one system call reads.
const rowsAtOnce = 256

// eachRow reads the rows of counters from the first to one of that index, each the sum
// over all CPUs. The row is used again for the next one.
func (m tables) eachRow(last int, do func(index int, row *[columns]model.Counter)) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("read the counters: %w", err)
	}
	var cursor ebpf.MapBatchCursor
	keys, rows := make([]uint32, rowsAtOnce), make([]directorRow, rowsAtOnce*cpus)
	for {
		n, err := m.byName[directorMapCounters].BatchLookup(&cursor, keys, rows, nil)
		over := errors.Is(err, ebpf.ErrKeyNotExist) // the map's end
		if err != nil && !over {
			return fmt.Errorf("read the counters: %w", err)
		}
		for i, index := range keys[:n] {
			if int(index) > last {
				return nil
			}
			row := sum(rows[i*cpus : (i+1)*cpus])
			do(int(index), &row)
		}
		if over || n == 0 {
			return nil
		}
	}
}

// sum adds up what the CPUs counted.
func sum(perCPU []directorRow) (row [columns]model.Counter) {
	for i := range perCPU {
		for column, c := range &perCPU[i].Columns {
			row[column].Packets += c.Packets
			row[column].Bytes += c.Bytes
		}
	}
	return row
}

func (m tables) clearCounters(flow int) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("clear the counters of flow %d: %w", flow, err)
	}
	if err := m.byName[directorMapCounters].Put(uint32(flow), make([]directorRow, cpus)); err != nil {
		return fmt.Errorf("clear the counters of flow %d: %w", flow, err)
	}
	return nil
}

func (p *Plane) countConnections(t *model.Traffic, names map[key]string) {
	var counts [maxDirectors][maxServers]model.ConnCount
	for _, s := range p.maps.all() {
		t.Table.Used++
		if s.ended() {
			t.Table.Ended++
			continue
		}
		c := &counts[int(s.director())%maxDirectors][s.server()]
		if p.maps.old(s) {
			c.Old++
		} else {
			c.Present++
		}
	}
	for k, server := range names {
		if k.kind == kindServer {
			director := names[key{kind: kindDirector, index: uint16(k.director)}]
			t.Conns[model.ServerRef{Director: director, Server: server}] = counts[k.director][k.index]
		}
	}
}
