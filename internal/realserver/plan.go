package realserver

import (
	"cmp"
	"slices"
	"strings"
)

// item is one thing that is wanted.
type item struct {
	key  Key
	want Value
	also []string // texts that serve as well: they are not changed
	why  string
}

func (i item) satisfied(now Value) bool {
	return now.same(i.want) || now.There && slices.Contains(i.also, now.Text)
}

// Op is one step: a thing is turned from one value into another.
type Op struct {
	Key      Key
	From, To Value
	Why      string
}

// Left is a thing that is not touched, because somebody changed it since.
type Left struct {
	Key    Key
	Before Value // what would be restored
	Now    Value
}

// Plan is what has to be done, in order, and what to remember meanwhile.
type Plan struct {
	Ops   []Op
	Left  []Left
	Notes []string // for the administrator: what to do besides, and what was found

	was     record // before the first step
	pending record // while the steps are done
	next    record // after the last one
}

// plan compares what is wanted with what there is and with the record. Things of
// the record that are not wanted are restored. Steps that set come before steps
// that restore, so that what moves is never gone.
func plan(was record, wish Wish, want []item, have map[Key]Value) Plan {
	p := Plan{was: was, next: record{Wish: wish}}
	p.pending = record{Wish: wish, Pending: true}
	wanted := map[Key]bool{}
	for _, w := range want {
		wanted[w.key] = true
		p.set(w, have[w.key])
	}
	var rest []kept
	for _, k := range was.Items {
		if !wanted[k.Key] {
			rest = append(rest, k)
		}
	}
	slices.Reverse(rest)
	slices.SortStableFunc(rest, func(a, b kept) int { return cmp.Compare(rank(a.Key), rank(b.Key)) })
	for _, k := range rest {
		p.restore(k, have[k.Key])
	}
	return p
}

// rank orders what is restored: while an address is there, or would be there
// after a boot, the settings that keep it silent are.
func rank(k Key) int {
	switch k.Kind {
	case Address:
		return 0
	case Interface:
		return 1
	case Setting:
		return 2
	case File:
		if strings.HasPrefix(k.Name, sysctlDir) {
			return 4
		}
		return 3
	}
	return 5
}

// set plans that a thing gets its wanted value.
func (p *Plan) set(w item, now Value) {
	k, known := p.was.find(w.key)
	if w.satisfied(now) {
		if known {
			p.next.add(k)
			p.pending.add(k)
		}
		return
	}
	if known && w.key.Kind == File && !k.known(now) {
		p.leave(k, now)
		return
	}
	if !known {
		k = kept{Key: w.key, Before: now}
	}
	p.Ops = append(p.Ops, Op{Key: w.key, From: now, To: w.want, Why: w.why})
	p.next.add(kept{Key: w.key, Before: k.Before, Ours: []Value{w.want}})
	k.Ours = append(slices.Clone(k.Ours), w.want)
	p.pending.add(k)
}

// restore plans that a thing becomes what it was.
func (p *Plan) restore(k kept, now Value) {
	switch {
	case now.same(k.Before):
	case (k.Key.Kind == Setting || k.Key.Kind == Interface) && !now.There: // the interface is no more
	case !k.known(now):
		p.leave(k, now)
	default:
		p.Ops = append(p.Ops, Op{Key: k.Key, From: now, To: k.Before, Why: "as it was before"})
		p.pending.add(k)
	}
}

func (p *Plan) leave(k kept, now Value) {
	p.Left = append(p.Left, Left{Key: k.Key, Before: k.Before, Now: now})
	p.next.add(k)
	p.pending.add(k)
}

// Forget drops what somebody changed since from the record. It stays as it is,
// and what was there before is no longer known.
func (p *Plan) Forget() {
	for _, l := range p.Left {
		p.next.Items = slices.DeleteFunc(p.next.Items, func(k kept) bool { return k.Key == l.Key })
	}
}
