package rounds

import (
	"context"
	"iter"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"fairlead/internal/model"
	"fairlead/internal/reset"
)

// crowd is a data plane with many old connections.
type crowd struct {
	size int
}

func (c crowd) Connections() iter.Seq[model.Connection] {
	return func(yield func(model.Connection) bool) {
		for i := range c.size {
			client := netip.AddrFrom4([4]byte{10, 0, byte(i >> 16), byte(i >> 8)})
			if !yield(model.Connection{Client: netip.AddrPortFrom(client, 1024+uint16(i&0xff)), VIP: netip.MustParseAddrPort("192.168.10.50:2049"),
				Director: "nfs", Server: "nfs-01", Old: true, HasAck: true, Packets: 2, ServerMAC: model.MAC{2}}) {
				return
			}
		}
	}
}

func (c crowd) Settle() error             { return nil }
func (c crowd) Sweep(string) (int, error) { return c.size, nil }

// counter takes resets as fast as it can.
type counter struct{ clients, servers int }

func (c *counter) Send(orders []reset.Order) (int, error) {
	c.clients += len(orders)
	return len(orders), nil
}

func (c *counter) SendServers(_ string, orders []reset.Order) (int, error) {
	c.servers += len(orders)
	return len(orders), nil
}

// TestHundredThousand: the breath between batches leaves most of the second that
// the resets of 100,000 connections may take, and the account is small.
func TestHundredThousand(t *testing.T) {
	const size = 100_000
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group, ctx := errgroup.WithContext(ctx)
		reports, sent := make(chan Report), &counter{}
		r := New(ctx, group, crowd{size}, sent, reports)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		r.Start(Job{Director: "nfs", Epoch: 2, Iface: "eth0"})
		first := <-reports
		if took := time.Since(began); took > 500*time.Millisecond {
			t.Errorf("the first round is stretched over %v", took)
		}
		<-reports // after the servers and the second walk
		runtime.ReadMemStats(&after)
		if first.Known != size || first.Reset != size || sent.clients != 2*size || sent.servers != size {
			t.Errorf("got %+v, %+v", first, sent)
		}
		if kib := (after.TotalAlloc - before.TotalAlloc) >> 10; kib > 32<<10 {
			t.Errorf("%d KiB were allocated", kib)
		}
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// mixed is a data plane whose last connection is the only one in use.
type mixed struct{ crowd }

func (m mixed) Connections() iter.Seq[model.Connection] {
	return func(yield func(model.Connection) bool) {
		n := 0
		for c := range m.crowd.Connections() {
			n++
			if n == m.size {
				c.Packets = 3
			}
			if !yield(c) {
				return
			}
		}
	}
}

// first notes whether the first connection that is reset is in use.
type first struct {
	counter
	lives bool
}

func (f *first) Send(orders []reset.Order) (int, error) {
	if f.clients == 0 {
		f.lives = orders[0].Connection.Packets > 2
	}
	return f.counter.Send(orders)
}

// TestTheLivingFirst: whoever sends and waits does not queue behind thousands that
// sleep, wherever in the table they are.
func TestTheLivingFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		group, ctx := errgroup.WithContext(ctx)
		reports, sent := make(chan Report), &first{}
		New(ctx, group, mixed{crowd{1000}}, sent, reports).Start(Job{Director: "nfs", Epoch: 2})
		if r := <-reports; r.Known != 1000 || r.Reset != 1000 || !sent.lives {
			t.Errorf("got %+v, the living one first: %v", r, sent.lives)
		}
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}
