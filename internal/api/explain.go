package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"fairlead/internal/model"
)

// DescribedPacket is a packet as somebody describes it.
type DescribedPacket struct {
	Iface   string         // where it arrives; "": where the flows of its destination are
	Proto   model.Proto    // any: tcp
	From    netip.AddrPort // the client
	To      netip.AddrPort // the virtual IP
	Flags   string         // of TCP: some of SYN, ACK, FIN, RST with commas between; "": SYN
	Payload int            // bytes
	Type    uint8          // of ICMP
}

// Explanation says what becomes of a packet, and why.
type Explanation struct {
	model.Explanation
	Iface string   `json:"iface"`          // where it was taken to arrive
	Rule  string   `json:"rule,omitempty"` // of the flow, that claims it
	Why   []string `json:"why"`            // in words, one step each
}

// TCPFlags are the flags of a described packet, as TCP has them; false for a word that
// is none.
func (p DescribedPacket) TCPFlags() (flags uint8, ok bool) {
	bits := map[string]uint8{"FIN": 1, "SYN": 2, "RST": 4, "ACK": 16}
	if p.Flags == "" {
		return bits["SYN"], true
	}
	for _, word := range strings.Split(strings.ToUpper(p.Flags), ",") {
		bit, known := bits[word]
		if !known {
			return 0, false
		}
		flags |= bit
	}
	return flags, true
}

func (h *handler) explain(r *request) (Explanation, error) {
	packet, err := parsePacket(r.URL.Query())
	if err != nil {
		return Explanation{}, err
	}
	x, err := h.daemon.Explain(r.Context(), packet)
	x.Why = listed(x.Why)
	return x, err
}

// mostPayload keeps a described packet within a frame.
const mostPayload = 1400

func parsePacket(values url.Values) (DescribedPacket, error) {
	p := DescribedPacket{Iface: values.Get("iface"), Flags: values.Get("flags"), Proto: model.ProtoTCP}
	if text := values.Get("proto"); text != "" {
		if err := p.Proto.UnmarshalText([]byte(text)); err != nil || p.Proto == model.ProtoAny {
			return p, malformed("explain a packet: the protocol %q is not tcp, udp or icmp", text)
		}
	}
	for _, end := range []struct {
		name string
		port uint16 // when none is given
		into *netip.AddrPort
	}{{"from", 40000, &p.From}, {"to", 0, &p.To}} {
		text := values.Get(end.name)
		at, err := netip.ParseAddrPort(text)
		if addr, bare := netip.ParseAddr(text); bare == nil {
			at, err = netip.AddrPortFrom(addr, end.port), nil
		}
		if err != nil || at.Addr().Zone() != "" || at.Addr().Is4In6() {
			return p, malformed("explain a packet: %s must be an IP address, with a port or without, not %q (IPv6 with a port: [ADDRESS]:PORT)", end.name, text)
		}
		*end.into = at
	}
	if p.From.Addr().Is4() != p.To.Addr().Is4() {
		return p, malformed("explain a packet: from %s to %s cannot be: they are of two families", p.From.Addr(), p.To.Addr())
	}
	if p.Proto != model.ProtoICMP && p.To.Port() == 0 {
		return p, malformed("explain a packet: %s needs a destination port, for example to=%s", p.Proto, netip.AddrPortFrom(p.To.Addr(), 2049))
	}
	if _, ok := p.TCPFlags(); !ok {
		return p, malformed("explain a packet: the flags %q are not some of SYN, ACK, FIN, RST with commas between", p.Flags)
	}
	for name, set := range map[string]func(int){"payload": func(n int) { p.Payload = n }, "icmptype": func(n int) { p.Type = uint8(n) }} {
		most := map[string]int{"payload": mostPayload, "icmptype": 255}[name]
		if text := values.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > most {
				return p, malformed("explain a packet: %s %q is not a number from 0 to %d", name, text, most)
			}
			set(n)
		}
	}
	return p, nil
}

// values is the packet as parsePacket reads it.
func (p DescribedPacket) values() url.Values {
	v := url.Values{"from": {p.From.String()}, "to": {p.To.String()}, "proto": {p.Proto.String()}}
	for name, text := range map[string]string{"iface": p.Iface, "flags": p.Flags} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if p.Payload > 0 {
		v.Set("payload", strconv.Itoa(p.Payload))
	}
	if p.Proto == model.ProtoICMP {
		v.Set("icmptype", strconv.Itoa(int(p.Type)))
	}
	return v
}

// Explain says what becomes of a packet, and changes nothing.
func (c *Client) Explain(ctx context.Context, packet DescribedPacket) (Explanation, error) {
	var x Explanation
	err := c.call(ctx, http.MethodGet, "/api/v1/explain?"+packet.values().Encode(), nil, &x)
	return x, err
}
