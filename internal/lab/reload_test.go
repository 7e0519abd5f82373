package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab/site"
	"fairlead/internal/model"
)

// The estate that is reloaded: with the last two, 10,000 flows. They lead to directors of ten
// servers; the last two lead the traffic to two directors of one server.
const (
	estateFlows     = 9_998
	estateDirectors = 100
	stayingPort     = 7 // of the flow that leads to a, whatever is reloaded
	movingPort      = 8 // of the one that leads to b after every other reload
)

// estateConfig is the estate after so many reloads: each flow has another director
// than before.
func estateConfig(turn int) string {
	var b strings.Builder
	moving := []string{"to-a", "to-b"}[turn%2]
	fmt.Fprintf(&b, "flow staying director to-a\nmatch iface eth0 dst %v proto udp dstport %d\n", site.VIP, stayingPort)
	fmt.Fprintf(&b, "flow moving director %s\nmatch iface eth0 dst %v proto udp dstport %d\n", moving, site.VIP, movingPort)
	for i := range estateFlows {
		fmt.Fprintf(&b, "flow f%d director d%d\nmatch iface eth0 dst 192.168.10.%d proto tcp dstport %d\n",
			i, (i+turn)%estateDirectors, 60+i%20, 10_000+i/20)
	}
	for i, name := range []string{"to-a", "to-b"} {
		fmt.Fprintf(&b, "director %s\nbalance roundrobin\nmode gateway\nserver s %v\n", name, site.ServerSpecs[i].Addr.Addr())
	}
	for i := range estateDirectors {
		fmt.Fprintf(&b, "director d%d\nbalance roundrobin\nmode gateway\n", i)
		for k := range 10 {
			fmt.Fprintf(&b, "server s%d %v\n", k, estateServer(k))
		}
	}
	return b.String()
}

// estateServer is the address of a server of the estate. They are on both hosts in
// turn.
func estateServer(k int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 10, byte(110 + k)}) }

// arrival is where a numbered datagram came to.
type arrival struct {
	number uint64
	server string
}

// ear hears the datagrams that come to one port of the servers.
type ear struct {
	mu  sync.Mutex // guards the following
	all []arrival
}

func (e *ear) seen() []arrival {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]arrival(nil), e.all...)
}

// listen hears, on all servers, what comes to a port, until the test ends.
func (p *pool) listen(port int) *ear {
	p.t.Helper()
	e := &ear{}
	for _, h := range p.servers {
		var c *net.UDPConn
		err := h.Do(func() (err error) {
			if c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: port}); err == nil {
				err = c.SetReadBuffer(8 << 20) // a second of what comes
			}
			return err
		})
		if err != nil {
			p.t.Fatal(err)
		}
		var over sync.WaitGroup
		over.Go(func() {
			b := make([]byte, 64)
			for {
				n, err := c.Read(b)
				if err != nil || n < 8 {
					return // closed
				}
				e.mu.Lock()
				e.all = append(e.all, arrival{binary.BigEndian.Uint64(b), h.Name})
				e.mu.Unlock()
			}
		})
		p.cleanup(func() error { err := c.Close(); over.Wait(); return err })
	}
	return e
}

// talk sends a numbered datagram to each of the ports again and again, some
// thousand in a second, until it is stopped. That returns how many each got.
func (p *pool) talk(ports ...uint16) (stop func() uint64) {
	p.t.Helper()
	var all []net.Conn
	err := p.client.Do(func() error {
		for _, port := range ports {
			c, err := net.Dial("udp4", netip.AddrPortFrom(site.VIP, port).String())
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	end, sent := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		n := uint64(0)
		for {
			select {
			case <-end:
				sent <- n
				return
			case <-tick.C:
			}
			for range 5 {
				n++
				for _, c := range all {
					if _, err := c.Write(binary.BigEndian.AppendUint64(make([]byte, 0, 24), n)[:24]); err != nil && !errors.Is(err, net.ErrClosed) {
						p.t.Error(err)
					}
				}
			}
		}
	}()
	return func() uint64 {
		close(end)
		n := <-sent
		for _, c := range all {
			c.Close()
		}
		return n
	}
}

// TestReloadUnderTraffic reloads 10,000 flows that all get another director while
// datagrams pass. None may be lost, none may come to a server of another flow, and
// those of the flow that moves come to the old server first, and then to the new one.
func TestReloadUnderTraffic(t *testing.T) {
	p := newSegment(t)
	for k := range 10 {
		if err := p.servers[k%2].Address(netip.PrefixFrom(estateServer(k), 24)); err != nil {
			t.Fatal(err)
		}
	}
	staying, moving := p.listen(stayingPort), p.listen(movingPort)
	p.run(estateConfig(0), func(st model.Status) bool {
		for _, d := range st.Directors {
			if d.Name == "to-a" || d.Name == "to-b" {
				if d.Applied == "" {
					return false
				}
			}
		}
		return len(st.Flows) == estateFlows+2
	})
	stop := p.talk(stayingPort, movingPort)
	const reloads = 4
	var took []time.Duration
	for turn := 1; turn <= reloads; turn++ {
		p.configure(estateConfig(turn))
		before := len(moving.seen())
		began := time.Now()
		if _, err := p.control.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
		want := p.servers[turn%2].Name
		p.until("datagrams come to "+want, func() bool {
			all := moving.seen()
			return len(all) > before && all[len(all)-1].server == want
		})
	}
	sent := stop()
	p.until("the last datagrams have come", func() bool {
		return len(staying.seen()) >= int(sent) && len(moving.seen()) >= int(sent)
	})
	t.Logf("%d reloads took %v; %d datagrams to each port", reloads, took, sent)
	p.inOrder("the flow that stays", staying.seen(), sent, 0)
	p.inOrder("the flow that moves", moving.seen(), sent, reloads)
}

// inOrder checks that each datagram came once, in order, and that the servers
// changed so many times.
func (p *pool) inOrder(what string, all []arrival, sent uint64, changes int) {
	p.t.Helper()
	if uint64(len(all)) != sent {
		p.t.Errorf("%s: %d datagrams came of %d", what, len(all), sent)
	}
	seen := 0
	for i, a := range all {
		if a.number != uint64(i+1) {
			p.t.Fatalf("%s: datagram %d came in place %d", what, a.number, i+1)
		}
		if i > 0 && a.server != all[i-1].server {
			seen++
		}
	}
	if len(all) > 0 && all[0].server != p.servers[0].Name || seen != changes {
		p.t.Errorf("%s: the first came to %s, and the server changed %d times, want a and %d", what, all[0].server, seen, changes)
	}
}
