package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"fairlead/internal/api"
)

type captureCommand struct {
	socketFlag
	Write   string `short:"w" placeholder:"FILE" help:"Write a pcap file for tcpdump or Wireshark; - is the output."`
	Count   int    `placeholder:"N" help:"End after so many packets (default: at Ctrl-C)."`
	Snaplen int    `placeholder:"BYTES" help:"Keep at most so many bytes of each packet."`
	JSON    bool   `name:"json" help:"Print one JSON object a packet."`
}

// errEnough ends a capture after --count packets.
var errEnough = errors.New("enough packets")

func (c *captureCommand) Run(ctx context.Context, env *surroundings) error {
	switch {
	case c.Count < 0 || c.Snaplen < 0:
		return unable{errors.New("--count and --snaplen cannot be below zero")}
	case c.Write != "" && c.JSON:
		return unable{errors.New("--write and --json exclude each other")}
	case c.Write == "-" && env.terminal:
		return unable{errors.New("a pcap file is not for a terminal: send the output elsewhere, or name a file")}
	}
	emit, finish, err := c.sink(env)
	if err != nil {
		return err
	}
	n := 0
	err = api.NewClient(c.Socket).Capture(ctx, c.Snaplen, func(p api.Packet) error {
		if err := emit(p); err != nil {
			return err
		}
		if n++; n == c.Count {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err = errors.Join(err, finish()); err == nil && c.Write != "" {
		fmt.Fprintf(env.err, "%s captured\n", count(n, "packet"))
	}
	return err
}

// sink returns what takes the packets, and what ends it.
func (c *captureCommand) sink(env *surroundings) (emit func(api.Packet) error, finish func() error, err error) {
	nothing := func() error { return nil }
	switch {
	case c.JSON:
		lines := json.NewEncoder(env.out)
		return func(p api.Packet) error { return lines.Encode(p) }, nothing, nil
	case c.Write == "":
		return func(p api.Packet) error { return printPacket(env.out, p) }, nothing, nil
	case c.Write == "-":
		emit, err := pcapSink(env.out)
		return emit, nothing, err
	}
	f, err := os.Create(c.Write)
	if err != nil {
		return nil, nil, fmt.Errorf("write the capture: %w", unwrapPath(err, c.Write))
	}
	emit, err = pcapSink(f)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return emit, f.Close, nil
}

func pcapSink(w io.Writer) (func(api.Packet) error, error) {
	packet, err := writePcap(w)
	if err != nil {
		return nil, err
	}
	return func(p api.Packet) error { return packet(p.At, p.Length, p.Data) }, nil
}

func printPacket(w io.Writer, p api.Packet) error {
	_, err := fmt.Fprintf(w, "%s %s %s %s, %d bytes\n",
		p.At.Local().Format("15:04:05.000000"), p.Iface, p.Verdict, describe(p.Data), p.Length)
	return err
}

// describe says in a few words what an Ethernet frame holds: for a glance, not
// for a dissection.
func describe(frame []byte) string {
	if len(frame) < 14 {
		return "short frame"
	}
	body := frame[14:]
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == 0x0806 && len(body) >= 28:
		what := "ARP request"
		if body[7] == 2 {
			what = "ARP reply"
		}
		return fmt.Sprintf("%s from %s for %s", what, addr4(body[14:]), addr4(body[24:]))
	case kind == 0x0800 && len(body) >= 20:
		return describeIPv4(body)
	case kind == 0x86dd && len(body) >= 40:
		return describeIPv6(body)
	default:
		return fmt.Sprintf("ethertype 0x%04x", kind)
	}
}

func describeIPv4(p []byte) string {
	from, to := addr4(p[12:]), addr4(p[16:])
	head := int(p[0]&0xf) * 4
	if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 || len(p) < head+4 {
		return fmt.Sprintf("IP %s > %s protocol %d", from, to, p[9])
	}
	return describeTransport(from, to, p[9], p[head:])
}

func describeIPv6(p []byte) string {
	from, to, l4 := addr6(p[8:]), addr6(p[24:]), p[40:]
	if p[6] == 58 && len(l4) >= 24 {
		switch l4[0] {
		case 135:
			return fmt.Sprintf("neighbour solicitation from %s for %s", from, addr6(l4[8:]))
		case 136:
			return fmt.Sprintf("neighbour advertisement from %s for %s", from, addr6(l4[8:]))
		}
	}
	if len(l4) < 4 {
		return fmt.Sprintf("IP %s > %s protocol %d", from, to, p[6])
	}
	return describeTransport(from, to, p[6], l4)
}

// describeTransport says what follows the header of IP: 4 bytes or more.
func describeTransport(from, to netip.Addr, protocol byte, l4 []byte) string {
	source := netip.AddrPortFrom(from, binary.BigEndian.Uint16(l4))
	ends := fmt.Sprintf("%s > %s", source, netip.AddrPortFrom(to, binary.BigEndian.Uint16(l4[2:])))
	switch {
	case protocol == 6 && len(l4) >= 14:
		return "TCP " + ends + " [" + tcpFlags(l4[13]) + "]"
	case protocol == 17:
		return "UDP " + ends
	}
	return fmt.Sprintf("IP %s > %s protocol %d", from, to, protocol)
}

// tcpFlags are the flags by their letters, as RFC 9293 orders them from the
// lowest bit on.
func tcpFlags(b byte) string {
	var set []byte
	for i, letter := range []byte("FSRPAU") {
		if b>>i&1 == 1 {
			set = append(set, letter)
		}
	}
	return string(set)
}

func addr6(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }

func addr4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
