package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

type explainCommand struct {
	socketFlag
	Proto   string `arg:"" enum:"tcp,udp,icmp" help:"The protocol: tcp, udp or icmp."`
	From    string `arg:"" placeholder:"ADDR[:PORT]" help:"The client, for example 192.168.10.7 or 192.168.10.7:40000."`
	To      string `arg:"" placeholder:"ADDR[:PORT]" help:"The destination, for example 192.168.10.50:2049."`
	Iface   string `placeholder:"IFACE" help:"Where it arrives. Default: where somebody claims it."`
	Flags   string `default:"SYN" placeholder:"FLAGS" help:"Flags of TCP with commas between: SYN, ACK, FIN, RST (default ${default})."`
	Payload int    `placeholder:"N" help:"Bytes after the headers, at most 1,400."`
	Type    uint8  `name:"icmptype" default:"8" placeholder:"N" help:"Type of ICMP (default ${default}: an echo request)."`
	JSON    bool   `name:"json" help:"Print the explanation as JSON."`
}

func (c *explainCommand) Run(ctx context.Context, env *surroundings) error {
	packet := api.DescribedPacket{Iface: c.Iface, Payload: c.Payload}
	if err := packet.Proto.UnmarshalText([]byte(c.Proto)); err != nil {
		return unable{err}
	}
	if packet.Proto == model.ProtoTCP {
		packet.Flags = c.Flags
	}
	if packet.Proto == model.ProtoICMP {
		packet.Type = c.Type
	}
	for _, end := range []struct {
		text string
		port uint16
		into *netip.AddrPort
	}{{c.From, 40000, &packet.From}, {c.To, 0, &packet.To}} {
		at, err := netip.ParseAddrPort(end.text)
		if addr, bare := netip.ParseAddr(end.text); bare == nil {
			at, err = netip.AddrPortFrom(addr, end.port), nil
		}
		if err != nil {
			return unable{fmt.Errorf("%q is neither an address nor an address with a port: write 192.168.10.50 or 192.168.10.50:2049", end.text)}
		}
		*end.into = at
	}
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	x, err := client.Explain(ctx, packet)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, x)
	}
	_, err = fmt.Fprintf(env.out, "%s\n  %s\n", x.Verdict, strings.Join(x.Why, "\n  "))
	return err
}
