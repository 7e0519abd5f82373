package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"unicode/utf8"

	"fairlead/internal/api"
)

type connectionsCommand struct {
	socketFlag
	Director string `placeholder:"DIRECTOR" help:"Only those of this director."`
	Server   string `placeholder:"SERVER" help:"Only those of this server."`
	Client   string `placeholder:"ADDR|NET" help:"Only those of this client, or of this network, for example 192.168.10.0/24."`
	State    string `enum:",open,ended,old" default:"" placeholder:"STATE" help:"Only those in this state: open, ended (the client's FIN or RST was seen) or old (of before the last switch)."`
	Limit    int    `default:"200" placeholder:"N" help:"Show at most so many (default ${default}; the daemon gives at most 10,000)."`
	JSON     bool   `name:"json" help:"Print the connections as JSON."`
}

func (c *connectionsCommand) Run(ctx context.Context, env *surroundings) error {
	of, err := narrow(c.Client, c.Limit)
	if err != nil {
		return err
	}
	query := api.ConnectionQuery{Director: c.Director, Server: c.Server, Client: of, State: c.State, Limit: c.Limit}
	client, ctx, cancel := c.client(ctx)
	defer cancel()
	found, err := client.Connections(ctx, query)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(env.out, found)
	}
	return printConnections(env.out, found, env.colour)
}

// narrow reads what narrows a list.
func narrow(client string, limit int) (netip.Prefix, error) {
	if limit < 1 {
		return netip.Prefix{}, unable{errors.New("--limit must be at least 1")}
	}
	return parseClient(client)
}

// parseClient reads an address, or a network; "": none.
func parseClient(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if net, err := netip.ParsePrefix(text); err == nil {
		return net, nil
	}
	return netip.Prefix{}, unable{fmt.Errorf("--client %q is neither an address nor a network: write 192.168.10.7 or 192.168.10.0/24", text)}
}

// printConnections shows connections in at most pageWidth columns.
func printConnections(w io.Writer, found api.Connections, colour bool) error {
	p := &page{colour: colour}
	client, vip, server := len("client"), len("virtual IP"), len("director/server")
	for _, c := range found.Connections {
		client, vip = max(client, len(c.Client.String())), max(vip, len(c.VIP.String()))
		server = max(server, utf8.RuneCountInString(c.Director+"/"+c.Server))
	}
	const rest = len("ended") + len("3d04h ") + 4*len("  ")
	server = max(min(server, pageWidth-client-vip-rest), len("director/server"))
	if len(found.Connections) > 0 {
		p.line("%s", p.paint(bold, fmt.Sprintf("%-*s  %-*s  %-*s  state  age", client, "client", vip, "virtual IP", server, "director/server")))
	}
	for _, c := range found.Connections {
		p.line("%-*s  %-*s  %-*s  %-5s  %s", client, c.Client, vip, c.VIP,
			server, middle(c.Director+"/"+c.Server, server), c.State, ago(c.Age))
	}
	p.line("%s", totals("connection", len(found.Connections), found.Matched, found.Known))
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("print the connections: %w", err)
	}
	return nil
}

// totals says how many of a list are shown.
func totals(what string, shown, matched, all int) string {
	known := grouped(all) + " known"
	if all == 0 {
		known = "none known"
	}
	switch {
	case matched == 0:
		return fmt.Sprintf("No %s matches; %s.", what, known)
	case shown == matched:
		return fmt.Sprintf("Showing all %s that match; %s.", grouped(shown), known)
	}
	return fmt.Sprintf("Showing %s of %s that match; %s.", grouped(shown), grouped(matched), known)
}

// grouped is a number with its thousands apart: 12,345.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// middle leaves out the middle of a text that is too long: names differ at their
// ends.
func middle(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	head := (width - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(width-1-head):])
}
