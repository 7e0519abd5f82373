package agent

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"fairlead/internal/api"
	"fairlead/internal/flow"
	"fairlead/internal/model"
)

// Explain says what becomes of a described packet: the data plane's own rules and
// tables decide, and nothing is changed. Without an interface it is taken to arrive
// on the first one where somebody claims it.
func (a *Agent) Explain(_ context.Context, packet api.DescribedPacket) (api.Explanation, error) {
	v := a.view.Load()
	ifaces := v.rules.Ifaces
	if packet.Iface != "" {
		ifaces = []string{packet.Iface}
	}
	x := api.Explanation{Iface: packet.Iface}
	x.Verdict = "pass"
	for _, name := range ifaces {
		link, ok := v.links[name]
		if !ok {
			return x, fmt.Errorf("explain a packet that arrives on %s: there is no such interface: %w", name, api.ErrNotFound)
		}
		found, err := a.parts.Plane.Explain(frameOf(packet, link.MAC), link.Index)
		if err != nil {
			return x, err
		}
		if x.Explanation, x.Iface = found, name; found.Verdict != "pass" {
			break
		}
	}
	x.Rule = ruleOf(v.rules, packet, x)
	x.Why = whyOf(packet, x)
	return x, nil
}

// frameOf is the packet as it would arrive. Nobody on the way reads its checksums.
func frameOf(p api.DescribedPacket, to model.MAC) []byte {
	var transport []byte
	switch p.Proto {
	case model.ProtoICMP:
		transport = []byte{p.Type, 0, 0, 0, 0, 0, 0, 0}
	default:
		transport = binary.BigEndian.AppendUint16(transport, p.From.Port())
		transport = binary.BigEndian.AppendUint16(transport, p.To.Port())
	}
	switch flags, _ := p.TCPFlags(); p.Proto {
	case model.ProtoUDP:
		transport = binary.BigEndian.AppendUint16(transport, uint16(8+p.Payload))
		transport = append(transport, 0, 0)
	case model.ProtoTCP:
		transport = append(transport, 0, 0, 0, 1, 0, 0, 0, 1, 5<<4, flags, 255, 255, 0, 0, 0, 0)
	}
	transport = append(transport, make([]byte, p.Payload)...)
	f := append(append([]byte{}, to[:]...), 2, 0, 0, 0, 0, 0xfe)
	if p.To.Addr().Is6() {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(len(transport)))
		f = append(f, numberOf(p), 64)
		f = append(append(f, p.From.Addr().AsSlice()...), p.To.Addr().AsSlice()...)
		return append(f, transport...)
	}
	f = append(f, 8, 0, 0x45, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(20+len(transport)))
	f = append(f, 0, 0, 0, 0, 64, p.Proto.Number(), 0, 0)
	f = append(append(f, p.From.Addr().AsSlice()...), p.To.Addr().AsSlice()...)
	return append(f, transport...)
}

// numberOf is the number of the packet's protocol, as its family has it.
func numberOf(p api.DescribedPacket) uint8 {
	const icmpv6 = 58
	if p.Proto == model.ProtoICMP && p.To.Addr().Is6() {
		return icmpv6
	}
	return p.Proto.Number()
}

// ruleOf names the rule that claims the packet, if it is of the flow that the data
// plane named.
func ruleOf(rules model.RuleSet, p api.DescribedPacket, x api.Explanation) string {
	packet := flow.Packet{Iface: x.Iface, Proto: numberOf(p), Src: p.From.Addr(), Dst: p.To.Addr()}
	if p.Proto == model.ProtoICMP {
		packet.ICMPType, packet.HasICMPType = p.Type, true
	} else {
		packet.SrcPort, packet.DstPort, packet.HasPorts = p.From.Port(), p.To.Port(), true
	}
	hit, ok := flow.Match(rules, packet)
	if !ok || hit.Flow != x.Flow {
		return ""
	}
	n := 0
	for _, r := range rules.Rules {
		if r.Flow == hit.Flow {
			n++
		}
		if r == hit {
			break
		}
	}
	return fmt.Sprintf("rule %d of flow %s", n, hit.Flow)
}

// choosers say in words why it is this server.
var choosers = map[model.Chooser]string{
	model.ChosenByDirector:   "it is the director's active server",
	model.ChosenByConnection: "the connection began there",
	model.ChosenByTemplate:   "persistence keeps the client there",
	model.ChosenByScheduler:  "the scheduler gives it the next connection",
	model.ChosenByHash:       "the addresses lead there: no connection is known",
}

// verdicts say in words what becomes of a packet that goes to no server.
var verdicts = map[string]string{
	"permit":         "the flow permits it: it goes up the director's own network stack",
	"deny":           "the flow denies it: it is dropped",
	"reset":          "its connection is old: it is answered with RST",
	"reject":         "the director has no server, and says so to the client",
	"drop-no-server": "the director has no server: it is dropped",
	"drop-old":       "its connection is old, and is met with silence",
	"drop-malformed": "its headers make no sense: it is dropped",
	"held":           "it is kept until the server was asked, or another one was chosen",
	"drop-hold":      "a switch is under way: it is dropped, and will come again",
	"too-big":        "it does not fit into the tunnel to its server: the client is told the length that does, by ICMP",
	"drop-too-big":   "it does not fit into the tunnel to its server, and a fragment, an ICMP error or a packet with IP options is not answered: it is dropped",
}

// whyOf are the steps in words.
func whyOf(p api.DescribedPacket, x api.Explanation) []string {
	if x.Verdict == "pass" {
		return []string{fmt.Sprintf("no flow claims %s to %s: it goes up the director's own network stack", p.Proto, endOf(p.To))}
	}
	why := []string{fmt.Sprintf("flow %s claims it", x.Flow)}
	if x.Rule != "" {
		why[0] = x.Rule + " claims it"
	}
	if x.Director != "" {
		why[0] += " for director " + x.Director
	}
	if c := x.Connection; c != nil {
		why = append(why, "the table knows its connection: "+connectionText(*c))
	}
	if text := verdicts[x.Verdict]; text != "" {
		return append(why, text)
	}
	text := "it goes to " + x.Server
	if reason := choosers[x.Chooser]; reason != "" {
		text += ": " + reason
	}
	why = append(why, text)
	if x.To.Known() {
		text := fmt.Sprintf("it leaves on %s for %s, from %s; ", x.Iface, x.To, x.From)
		if t := x.Tunnel; t != nil {
			text += fmt.Sprintf("whole, in an IP-in-IP packet from %s to %s", t.Source, t.Server)
		} else {
			text += "nothing else of it changes"
		}
		why = append(why, text)
	}
	return why
}

func connectionText(c model.ExplainedConnection) string {
	text := "to " + c.Server
	for _, part := range []struct {
		is   bool
		text string
	}{{c.Old, "of before the last switch"}, {c.Ended, "ended"}, {c.Idle, "idle"}, {!c.Acknowledged, "nothing but its SYN was seen"}} {
		if part.is {
			text += ", " + part.text
		}
	}
	return text
}

// endOf is an address with its port, if it has one.
func endOf(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}
