package rounds

import (
	"testing"

	"fairlead/internal/model"
)

// TestParcels: what the first round and the repeats may send.
func TestParcels(t *testing.T) {
	for _, tt := range []struct {
		packets int
		acked   bool
		first   parcel
	}{
		{0, true, parcel{rst: true}}, {1, true, parcel{rst: true}}, {1, false, parcel{tickle: true}},
		{2, true, parcel{rst: true}}, {2, false, parcel{tickle: true}}, {3, true, parcel{rst: true, tickle: true}},
		{15, true, parcel{rst: true, tickle: true}}, {15, false, parcel{tickle: true}},
	} {
		c := model.Connection{Packets: tt.packets, HasAck: tt.acked}
		if got := firstParcel(c); got != tt.first {
			t.Errorf("%+v: first: got %+v", tt, got)
		}
		for _, ended := range []bool{false, true} {
			c.Ended = ended
			spent := firstParcel(c).cost()
			second := secondParcel(c, spent)
			if want := tt.acked && tt.packets == 2; second.rst || second.tickle != want {
				t.Errorf("%+v: second: got %+v", tt, second)
			}
			spent += second.cost()
			for n := 0; ; n++ {
				if n > model.MostPackets {
					t.Fatalf("%+v: no end", tt)
				}
				if mayAskServer(c, spent) {
					spent++
				}
				p := nextParcel(c, spent, 0)
				if spent += p.cost(); p.cost() == 0 {
					break
				}
				if ended || !tt.acked {
					t.Errorf("%+v: a repeat: %+v", tt, p)
				}
			}
			if int(spent) > max(tt.packets, 1) {
				t.Errorf("%+v: cost %d packets", tt, spent)
			}
		}
	}
}
