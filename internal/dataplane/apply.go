package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"fairlead/internal/model"
)

// trustAfterChange is how long the SYNs of a director go to a new server without
// its being asked once more: it was chosen because it answers.
const trustAfterChange = 200 * time.Millisecond

// Apply reconciles the kernel with the desired value: the choices of the
// directors and the rules that lead to them, all at once, then the attachments.
// What can be applied is, whatever else fails; the errors come together.
// Applying the same value again changes nothing.
func (p *Plane) Apply(want model.Desired) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, err := p.allocate(want)
	if err != nil {
		return err
	}
	flips := p.flips
	err = errors.Join(p.applySettings(want, at), p.takeOver(), p.reconcileLinks(want.Rules.Ifaces), p.uncut(want))
	if p.flips != flips {
		p.settling.Go(p.settleSoon)
	}
	p.tendSoon(p.flips != flips, want.Timeouts)
	return err
}

// Settle waits until no packet in flight can still see older settings.
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

// edit copies the settings in force, for a change.
func (p *Plane) edit() *directorSettings {
	next := new(directorSettings)
	*next = *p.maps.settings()
	return next
}

// enforce puts settings and the lists of their rules in force by a single store,
// if they differ; without lists those in force stay. The copy that they go into must
// be one that no packet in flight can still read.
func (p *Plane) enforce(next *directorSettings, lists *directorRuleLists) error {
	inForce := &p.maps.lists[p.maps.state.Current&1]
	if lists == nil {
		lists = inForce
	}
	if *next == *p.maps.settings() && (lists == inForce || *lists == *inForce) {
		return nil
	}
	if p.settled != p.flips {
		if err := gracePeriod(); err != nil {
			return err
		}
		p.settled = p.flips
	}
	current := &p.maps.state.Current
	*p.maps.copyOfSettings(1 - *current&1) = *next
	if spare := &p.maps.lists[1-*current&1]; *spare != *lists {
		*spare = *lists
	}
	atomic.StoreUint32(current, 1-*current&1)
	p.flips++
	return nil
}

// applySettings brings the settings to the desired ones. A part that cannot be
// applied stays as it is.
func (p *Plane) applySettings(want model.Desired, at indices) error {
	next := p.edit()
	var errs []error
	for _, d := range want.Directors {
		errs = append(errs, p.setDirector(next, d, at))
	}
	rules, err := compile(want.Rules, at, p.rules)
	errs = append(errs, err)
	var moved []move
	var lists *directorRuleLists
	if err == nil && (rules != p.rules || next.Flows != *rules.flows) {
		next.Flows, lists = *rules.flows, rules.lists
		moved = p.moves(rules)
		for _, m := range moved {
			next.Choices[m.to].Flags |= uint16(directorChoiceFlagsCHOICE_LOOKUP)
		}
	}
	shed := p.shed(next)
	if err := p.enforce(next, lists); err != nil {
		return errors.Join(append(errs, err)...)
	}
	p.maps.unload(shed)
	if lists != nil {
		p.rules = rules
	}
	p.carryOut(moved)
	return errors.Join(errs...)
}

// setDirector sets a director's servers and its choice.
func (p *Plane) setDirector(next *directorSettings, want model.DesiredDirector, at indices) error {
	index := at.directors[want.Name]
	for _, s := range want.Servers {
		server := next.server(index, at.servers[model.ServerRef{Director: want.Name, Server: s.Name}])
		if s.MAC.Known() && want.Source.Known() {
			server.Mac0, server.Mac1 = macWords(s.MAC, want.Source)
			*next.remote(index, at.servers[model.ServerRef{Director: want.Name, Server: s.Name}]) = remoteOf(want.Mode, s)
		}
		server.Generation, server.Epoch, server.Weight = uint16(s.Epoch), s.Epoch, uint16(s.Weight)
	}
	shares, err := sharesOf(want, at)
	if err != nil {
		return err
	}
	have, record := &next.Choices[index], &next.Records[index]
	choice, made, err := nextChoice(*have, *record, want, at)
	if err != nil {
		return err
	}
	if choice.Server != have.Server || choice.Generation != have.Generation {
		p.trust(index, trustAfterChange)
	}
	*have, *record, next.Shares[index] = choice, made, shares
	return nil
}

// nextChoice says what a director's choice must become. While the MAC of the
// active server is unknown the present choice stands.
func nextChoice(have directorChoice, record directorChoiceRecord, want model.DesiredDirector, at indices) (directorChoice, directorChoiceRecord, error) {
	choice := directorChoice{Generation: uint16(want.Epoch), Flags: flagsOf(want)}
	next := directorChoiceRecord{Epoch: want.Epoch, SinceNs: want.Since, Reason: uint8(want.Reason)}
	if want.Addr.IsValid() {
		next.Server = words(want.Addr)
	}
	// Old connections may be left after a switch, and until Sweep finds none.
	if record.Epoch != 0 && want.Epoch != record.Epoch {
		choice.Flags |= uint16(directorChoiceFlagsCHOICE_LOOKUP)
	} else {
		choice.Flags |= have.Flags & uint16(directorChoiceFlagsCHOICE_LOOKUP)
	}
	if want.Hold && want.Active != "" && (!want.MAC.Known() || !want.Source.Known()) {
		// The server is gone from the network, too: nothing may go there while
		// hooks run, whatever its address was.
		have.Flags = choice.Flags | have.Flags&uint16(directorChoiceFlagsCHOICE_FORWARD)
		return have, record, nil
	}
	switch {
	case want.Balanced && !want.Source.Known(), want.Active != "" && !want.Source.Known():
		return have, record, fmt.Errorf("apply %s: the MAC address of the director's own interface is not known yet", nameOf(want))
	case want.Balanced:
		choice.Flags |= uint16(directorChoiceFlagsCHOICE_FORWARD)
		choice.Flags &^= uint16(directorChoiceFlagsCHOICE_LOOKUP) // every server has its own epoch
		choice.Mac0, choice.Mac1 = macWords(model.MAC{}, want.Source)
	case want.Active == "":
		choice.Mac0, choice.Mac1 = macWords(model.MAC{}, want.Source)
	case !want.MAC.Known():
		return have, record, fmt.Errorf("apply %s: its MAC address is not known: it does not answer %s", nameOf(want), asking(want.Addr))
	default:
		choice.Flags |= uint16(directorChoiceFlagsCHOICE_FORWARD)
		choice.Server = at.servers[model.ServerRef{Director: want.Name, Server: want.Active}]
		choice.Mac0, choice.Mac1 = macWords(want.MAC, want.Source)
	}
	return choice, next, nil
}

// asking is how the MAC of an address is asked for.
func asking(a netip.Addr) string {
	if a.Is6() {
		return "neighbour discovery"
	}
	return "ARP"
}

func nameOf(want model.DesiredDirector) string {
	if want.Active == "" {
		return want.Name
	}
	return want.Name + "/" + want.Active
}

// flagsOf are the flags that follow from the desired value alone.
func flagsOf(want model.DesiredDirector) uint16 {
	var flags directorChoiceFlags
	for _, f := range []struct {
		set  bool
		flag directorChoiceFlags
	}{
		{want.Silent, directorChoiceFlagsCHOICE_SILENT},
		{want.Hold, directorChoiceFlagsCHOICE_HOLD},
		{want.Watch, directorChoiceFlagsCHOICE_WATCH},
		{want.Keep, directorChoiceFlagsCHOICE_KEEP},
		{want.Reject, directorChoiceFlagsCHOICE_REJECT},
		{want.Balanced, directorChoiceFlagsCHOICE_BALANCED},
		{want.Mode == model.ModeTunnel, directorChoiceFlagsCHOICE_REMOTE},
	} {
		if f.set {
			flags |= f.flag
		}
	}
	return uint16(flags)
}

// remoteOf is how a server is reached whose packets change in more than their MACs.
func remoteOf(mode model.Mode, s model.DesiredServer) directorRemote {
	if mode != model.ModeTunnel {
		return directorRemote{}
	}
	return directorRemote{Mode: uint8(directorModeMODE_TUNNEL), Server: be(s.Addr), Source: be(s.Source), Mtu: uint16(min(s.MTU, maxPacket))}
}

// maxPacket is the length of the longest IPv4 packet.
const maxPacket = 65535

// macWords are the first twelve bytes of a frame, as the programme stores them.
func macWords(destination, source model.MAC) (mac0 uint64, mac1 uint32) {
	frame := append(destination[:], source[:]...)
	return binary.NativeEndian.Uint64(frame), binary.NativeEndian.Uint32(frame[8:])
}

// macs are the addresses that macWords made words of.
func macs(mac0 uint64, mac1 uint32) (destination, source model.MAC) {
	var frame [12]byte
	binary.NativeEndian.PutUint64(frame[:], mac0)
	binary.NativeEndian.PutUint32(frame[8:], mac1)
	return model.MAC(frame[:6]), model.MAC(frame[6:])
}

// Applied reads back what the kernel holds.
func (p *Plane) Applied() (model.Applied, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := model.Applied{Ifaces: map[string]model.Attached{}}
	for index, l := range p.links {
		if i, err := net.InterfaceByIndex(index); err == nil {
			a.Ifaces[i.Name] = model.Attached{Mode: l.mode, Why: l.why}
		}
	}
	now, names := p.maps.settings(), *p.names.Load()
	lists := &p.maps.lists[p.maps.state.Current&1]
	of := choicesOf(now, lists, names)
	a.VIPs, a.Directors = of.VIPs, of.Directors
	a.Flows = readFlows(&now.Flows, lists, names)
	return a, nil
}

// choicesOf are the virtual IPs and the choices that settings hold.
func choicesOf(now *directorSettings, lists *directorRuleLists, names map[key]string) model.Applied {
	a := model.Applied{VIPs: readVIPs(&now.Flows, lists), Directors: map[string]model.Adopted{}}
	for k, name := range names {
		if k.kind == kindDirector && now.Records[k.index].Epoch != 0 {
			a.Directors[name] = adopted(now, uint8(k.index), names)
		}
	}
	return a
}

// adopted is a director's choice as the settings hold it.
func adopted(now *directorSettings, index uint8, names map[key]string) model.Adopted {
	record, choice := now.Records[index], now.Choices[index]
	has := func(f directorChoiceFlags) bool { return choice.Flags&uint16(f) != 0 }
	a := model.Adopted{
		Epoch: record.Epoch, Reason: model.Reason(record.Reason), Since: time.Unix(0, record.SinceNs),
		Hold: has(directorChoiceFlagsCHOICE_HOLD),
	}
	switch {
	case has(directorChoiceFlagsCHOICE_BALANCED):
		a.Servers = map[string]uint64{}
		for k, name := range names {
			if k.kind == kindServer && k.director == index {
				a.Servers[name] = now.server(index, uint8(k.index)).Epoch
			}
		}
	case has(directorChoiceFlagsCHOICE_FORWARD):
		if record.Server != [4]uint32{} {
			a.Addr = unwords(record.Server)
		}
		a.Active = names[key{kindServer, index, uint16(choice.Server)}]
	}
	return a
}
