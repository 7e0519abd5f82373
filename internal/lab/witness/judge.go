package witness

import (
	"fmt"
	"slices"

	"fairlead/internal/lab/clock"
)

// Turn is one switch: clients' data went to the server before until some
// instant between From and By, and from then on to server To.
type Turn struct {
	From, By clock.Instant
	To       int // index of the server; negative: none
}

// Report is what was on the cables.
type Report struct {
	Packets     []int // for each server, both directions
	Data        []int // for each server: packets with clients' data
	Connections int
	// Split counts connections with a packet on two servers. Bare RSTs and FINs
	// do not count: they may follow an old connection to its server. Nor does a SYN
	// that no server's answer has made a connection of: its client sends it again,
	// whoever is active then.
	Split int
	// Astray counts packets with clients' data on a server whose turn was over,
	// or had not begun.
	Astray   int
	Examples []string // of both, the first few
}

// examples is how many cases a report tells of.
const examples = 4

// Judge judges the packets of all servers' cables, in any order. Before the
// first of the turns, which are in order of time, clients' data goes to the first
// server named.
func Judge(packets []Packet, servers []string, first int, turns []Turn) Report {
	slices.SortStableFunc(packets, func(a, b Packet) int { return int(a.At - b.At) })
	j := &judge{
		servers: servers, turns: turns, owner: first,
		latest: map[Tuple]*connection{}, met: map[place]*connection{},
		report: Report{Packets: make([]int, len(servers)), Data: make([]int, len(servers))},
	}
	for _, p := range packets {
		j.report.Packets[p.Server]++
		j.assign(p)
		if p.data() {
			j.report.Data[p.Server]++
			j.order(p)
		}
	}
	return j.report
}

type judge struct {
	servers []string
	turns   []Turn // those to come
	owner   int    // the server whose turn it is
	latest  map[Tuple]*connection
	met     map[place]*connection
	report  Report
}

// place is a server's end of a client's port.
type place struct {
	tuple  Tuple
	server uint8
}

// connection is one life of a tuple: a SYN with another number begins the next.
type connection struct {
	heard  bool   // of the client; else the numbers are not known yet
	begun  bool   // the client sent more than SYNs: there is a connection
	isn    uint32 // its first sequence number that was seen
	next   uint32 // the one after its last bytes
	server uint8  // that it was first seen on
	split  bool   // it was seen on another, too
}

// assign finds the packet's connection and notes where it was.
func (j *judge) assign(p Packet) {
	if p.bareEnd() {
		return
	}
	c := j.connection(p)
	if p.opens() && !c.begun {
		c.server = p.Server // also where the client tries again, after no answer that led to anything
	}
	c.begun = c.begun || !p.FromServer && !p.opens()
	if c.server != p.Server && !c.split {
		c.split = true
		j.report.Split++
		j.tell("the connection of %v was seen on two servers, at last on %s: %v", p.Tuple, j.servers[p.Server], p.what())
	}
}

// connection finds the life of the tuple that the packet belongs to, or begins
// one. When the client has gone on to another server, its old one may still speak,
// and may be told by the director that the old connection is over. The sequence
// numbers tell which of the two lives a packet means.
func (j *judge) connection(p Packet) *connection {
	at := place{p.Tuple, p.Server}
	c := j.latest[p.Tuple]
	if old := j.met[at]; old != nil && old != c && !p.opens() && (p.FromServer || old.likelier(c, p.Seq)) {
		c = old
	}
	if c == nil || p.opens() && c.isn != p.Seq {
		c = &connection{server: p.Server}
		j.latest[p.Tuple], j.met[at] = c, c
		j.report.Connections++
	}
	if !p.FromServer {
		c.hear(p)
	}
	return c
}

// hear follows the client's numbers.
func (c *connection) hear(p Packet) {
	if !c.heard {
		c.heard, c.isn, c.next = true, p.Seq, p.Seq
	}
	end := p.Seq + p.Payload
	if p.opens() {
		end++ // a SYN takes a number (RFC 9293 section 3.4)
	}
	if int32(end-c.next) > 0 {
		c.next = end
	}
}

// likelier tells whether a client's number means this life of a tuple rather than
// another one: it is among the numbers that were used here, or else nearer to their end.
// What the director tells an old server may lie far behind the end, as it does not
// look at every packet.
func (c *connection) likelier(other *connection, seq uint32) bool {
	if here, there := c.holds(seq), other.holds(seq); here != there {
		return here
	}
	return c.distance(seq) < other.distance(seq)
}

// holds tells whether the client has come across that number.
func (c *connection) holds(seq uint32) bool { return c.heard && seq-c.isn <= c.next-c.isn }

// distance is how far a client's sequence number is from the next one.
func (c *connection) distance(seq uint32) uint32 { return min(seq-c.next, c.next-seq) }

// order looks whose turn it is when clients' data comes to a server.
func (j *judge) order(p Packet) {
	for len(j.turns) > 0 && p.At >= j.turns[0].By {
		j.advance()
	}
	switch {
	case int(p.Server) == j.owner:
	case len(j.turns) > 0 && int(p.Server) == j.turns[0].To && p.At >= j.turns[0].From:
		j.advance() // the first data of the turn shows when it began
	default:
		j.report.Astray++
		j.tell("%d bytes of %v came to %s when it was not its turn", p.Payload, p.Tuple, j.servers[p.Server])
	}
}

func (j *judge) advance() { j.owner, j.turns = j.turns[0].To, j.turns[1:] }

func (j *judge) tell(format string, args ...any) {
	if len(j.report.Examples) < examples {
		j.report.Examples = append(j.report.Examples, fmt.Sprintf(format, args...))
	}
}
