package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"fairlead/internal/model"
)

// explainer is the programme that only explains, loaded when it is asked first.
type explainer struct {
	mu        sync.Mutex // guards the following, and one question at a time
	programme *ebpf.Program
	answer    *ebpf.Map
}

func (e *explainer) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.programme.Close(), e.answer.Close())
}

// choosers are the values of enum chooser of bpf/maps.h, by value.
var choosers = [...]model.Chooser{
	directorChooserCHOSEN_BY_NOBODY:     model.ChosenByNobody,
	directorChooserCHOSEN_BY_DIRECTOR:   model.ChosenByDirector,
	directorChooserCHOSEN_BY_CONNECTION: model.ChosenByConnection,
	directorChooserCHOSEN_BY_TEMPLATE:   model.ChosenByTemplate,
	directorChooserCHOSEN_BY_SCHEDULER:  model.ChosenByScheduler,
	directorChooserCHOSEN_BY_HASH:       model.ChosenByHash,
}

// load loads the programme over the maps that are in use.
func (e *explainer) load(m tables) error {
	if e.programme != nil {
		return nil
	}
	spec, err := loadDirector()
	if err != nil {
		return fmt.Errorf("read the embedded programme: %w", err)
	}
	if _, err := setTicks(spec); err != nil {
		return err
	}
	if err := spec.Variables[directorVarDryRun].Set(uint8(1)); err != nil {
		return fmt.Errorf("make the programme explain only: %w", err)
	}
	var o struct {
		TC     *ebpf.Program `ebpf:"fairlead_tc"`
		Answer *ebpf.Map     `ebpf:".data.explained"`
	}
	if err := spec.LoadAndAssign(&o, &ebpf.CollectionOptions{MapReplacements: m.replace(spec)}); err != nil {
		return fmt.Errorf("load the programme that explains: %w", err)
	}
	e.programme, e.answer = o.TC, o.Answer
	return nil
}

// Explain says what becomes of a frame that arrives on an interface: the rules and
// tables in force decide, in a programme that changes nothing.
func (p *Plane) Explain(frame []byte, iface int) (model.Explanation, error) {
	e := &p.explainer
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.load(p.maps); err != nil {
		return model.Explanation{}, err
	}
	if err := e.answer.Put(uint32(0), directorExplained{}); err != nil {
		return model.Explanation{}, fmt.Errorf("clear the last explanation: %w", err)
	}
	about := make([]byte, skbIfindex+4)
	binary.NativeEndian.PutUint32(about[skbIfindex:], uint32(iface))
	run := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+64), Context: about}
	if _, err := e.programme.Run(&run); err != nil {
		return model.Explanation{}, fmt.Errorf("run a described packet through the programme: %w", err)
	}
	var found directorExplained
	if err := e.answer.Lookup(uint32(0), &found); err != nil {
		return model.Explanation{}, fmt.Errorf("read the explanation: %w", err)
	}
	return p.explained(found, run.DataOut), nil
}

// explained gives the indices their names.
func (p *Plane) explained(found directorExplained, out []byte) model.Explanation {
	names := *p.names.Load()
	x := model.Explanation{Verdict: verdictNames[min(int(found.Verdict), len(verdictNames)-1)]}
	if found.Verdict == uint32(directorVerdictVERDICT_PASS) {
		return x
	}
	x.Flow, x.Director = flowAndDirector(names[key{kind: kindFlow, index: uint16(found.Flow)}])
	x.Chooser = choosers[min(int(found.Chooser), len(choosers)-1)]
	director, server := found.Director, uint8(found.Server)
	switch found.Verdict {
	case uint32(directorVerdictVERDICT_FORWARD_OLD):
		director, server = uint8(found.Server/uint32(maxServers)), uint8(found.Server%uint32(maxServers))
		fallthrough
	case uint32(directorVerdictVERDICT_FORWARD), uint32(directorVerdictVERDICT_HELD):
		x.Server = names[key{kindServer, director, uint16(server)}]
	}
	leaves := found.Verdict >= uint32(directorVerdictVERDICT_FORWARD) && found.Verdict <= uint32(directorVerdictVERDICT_RESET)
	if leaves && len(out) >= 12 {
		x.To, x.From = model.MAC(out[:6]), model.MAC(out[6:12])
		x.Tunnel = p.maps.settings().tunnel(director, server)
	}
	if s := slot(found.Slot); s != 0 {
		x.Connection = &model.ExplainedConnection{
			Server: names[key{kindServer, s.director(), uint16(s.server())}],
			Old:    found.Old != 0, Ended: s.ended(), Idle: s.idle(), Acknowledged: s.is(directorSlotStateSLOT_ACKED),
		}
	}
	return x
}
