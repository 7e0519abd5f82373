package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"fairlead/internal/model"
)

// Apply reconciles the kernel with the desired value: first the choices of the
// directors, then the rules that lead to them, then the attachments. What can
// be applied is, whatever else fails; the errors come together. Applying the
// same value again changes nothing.
func (p *Plane) Apply(want model.Desired) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, err := p.allocate(want)
	if err != nil {
		return err
	}
	flips := p.flips
	var errs []error
	for _, d := range want.Directors {
		errs = append(errs, p.applyDirector(d, at))
	}
	errs = append(errs, p.applyRules(want.Rules, at), p.reconcileLinks(want.Rules.Ifaces))
	if p.flips != flips {
		p.settling.Go(p.settleSoon)
	}
	return errors.Join(errs...)
}

// Settle waits until no packet in flight can still see an older choice or rule.
func (p *Plane) Settle() error {
	p.mu.Lock()
	flips := p.flips
	p.mu.Unlock()
	if err := gracePeriod(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = max(p.settled, flips)
	return nil
}

// settleSoon waits now, so that no later switch has to.
func (p *Plane) settleSoon() {
	if err := p.Settle(); err != nil {
		p.options.Log.Error("settle the data plane", "error", err)
	}
}

// spare makes the copies that are not current safe to write: no packet in
// flight can still read them.
func (p *Plane) spare() error {
	if p.settled == p.flips {
		return nil
	}
	if err := gracePeriod(); err != nil {
		return err
	}
	p.settled = p.flips
	return nil
}

// flip makes the spare copy the current one, by a single store.
func (p *Plane) flip(current *uint32) {
	atomic.StoreUint32(current, 1-*current&1)
	p.flips++
}

// applyDirector writes a director's servers, then its choice if it differs.
func (p *Plane) applyDirector(want model.DesiredDirector, at indices) error {
	index := at.directors[want.Name]
	for _, s := range want.Servers {
		if !s.MAC.Known() || !want.Source.Known() {
			continue
		}
		mac0, mac1 := macWords(s.MAC, want.Source)
		entry := &p.maps.state.Servers[int(index)*maxServers+int(at.servers[model.ServerRef{Director: want.Name, Server: s.Name}])]
		atomic.StoreUint32(&entry.Mac1, mac1)
		atomic.StoreUint64(&entry.Mac0, mac0)
	}
	d := p.maps.director(index)
	have, record := d.Choices[d.Current&1], d.Records[d.Current&1]
	choice, next, err := nextChoice(have, record, want, at)
	if err != nil || choice == have && next == record {
		return err
	}
	return p.exchangeChoice(d, choice, next)
}

// exchangeChoice makes a choice the current one of a director.
func (p *Plane) exchangeChoice(d *directorDirector, choice directorChoice, record directorChoiceRecord) error {
	if err := p.spare(); err != nil {
		return err
	}
	d.Choices[1-d.Current&1], d.Records[1-d.Current&1] = choice, record
	p.flip(&d.Current)
	return nil
}

// nextChoice says what a director's choice must become. While the MAC of the
// active server is unknown the present choice stands.
func nextChoice(have directorChoice, record directorChoiceRecord, want model.DesiredDirector, at indices) (directorChoice, directorChoiceRecord, error) {
	choice := directorChoice{Generation: uint16(want.Epoch)}
	next := directorChoiceRecord{Epoch: want.Epoch, SinceNs: want.Since, Reason: uint8(want.Reason)}
	if want.Addr.Is4() {
		next.Server = be(want.Addr)
	}
	if want.Silent {
		choice.Flags |= uint8(directorChoiceFlagsCHOICE_SILENT)
	}
	// Old connections may be left after a switch, and until Sweep finds none.
	if record.Epoch != 0 && want.Epoch != record.Epoch {
		choice.Flags |= uint8(directorChoiceFlagsCHOICE_LOOKUP)
	} else {
		choice.Flags |= have.Flags & uint8(directorChoiceFlagsCHOICE_LOOKUP)
	}
	if want.Active == "" {
		choice.Mac0, choice.Mac1 = macWords(model.MAC{}, want.Source)
		return choice, next, nil
	}
	if !want.Source.Known() {
		return have, record, fmt.Errorf("apply %s/%s: the MAC address of the director's own interface is not known yet", want.Name, want.Active)
	}
	if !want.MAC.Known() {
		return have, record, fmt.Errorf("apply %s/%s: its MAC address is not known: it does not answer ARP", want.Name, want.Active)
	}
	choice.Flags |= uint8(directorChoiceFlagsCHOICE_FORWARD)
	choice.Server = at.servers[model.ServerRef{Director: want.Name, Server: want.Active}]
	choice.Mac0, choice.Mac1 = macWords(want.MAC, want.Source)
	return choice, next, nil
}

// macWords are the first twelve bytes of a frame, as the programme stores them.
func macWords(destination, source model.MAC) (mac0 uint64, mac1 uint32) {
	frame := append(destination[:], source[:]...)
	return binary.NativeEndian.Uint64(frame), binary.NativeEndian.Uint32(frame[8:])
}

func (p *Plane) applyRules(want model.RuleSet, at indices) error {
	set, err := compileRules(want, at)
	if err != nil {
		return err
	}
	rules := &p.maps.state.Rules
	if *p.maps.ruleSet(int(rules.Current & 1)) == set {
		return nil
	}
	moved := p.moves(want, at)
	for _, m := range moved {
		if err := p.lookUp(m.to); err != nil {
			return err
		}
	}
	if err := p.spare(); err != nil {
		return err
	}
	*p.maps.ruleSet(int(1 - rules.Current&1)) = set
	p.flip(&rules.Current)
	p.carryOut(moved)
	return nil
}

// Applied reads back what the kernel holds.
func (p *Plane) Applied() (model.Applied, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := model.Applied{Ifaces: map[string]model.Attached{}, Directors: map[string]model.Adopted{}}
	for index, l := range p.links {
		if i, err := net.InterfaceByIndex(index); err == nil {
			a.Ifaces[i.Name] = model.Attached{Mode: l.mode, Why: l.why}
		}
	}
	a.VIPs = readVIPs(p.maps.ruleSet(int(p.maps.state.Rules.Current & 1)))
	names := *p.names.Load()
	for k, name := range names {
		d := p.maps.director(uint8(k.index))
		record := d.Records[d.Current&1]
		if k.kind != kindDirector || record.Epoch == 0 {
			continue
		}
		adopted := model.Adopted{Epoch: record.Epoch, Reason: model.Reason(record.Reason), Since: time.Unix(0, record.SinceNs)}
		if c := d.Choices[d.Current&1]; c.Flags&uint8(directorChoiceFlagsCHOICE_FORWARD) != 0 {
			if record.Server != 0 {
				adopted.Addr = unbe(record.Server)
			}
			adopted.Active = names[key{kindServer, uint8(k.index), uint16(c.Server)}]
		}
		a.Directors[name] = adopted
	}
	return a, nil
}
