package api

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// A patcher writes the difference of two values as a JSON merge patch
// (RFC 7396). It compares values and writes only what differs: in ten thousand
// flows, most of which stay, encoding all of them would cost a hundred times more.
// It is used by one goroutine.
type patcher struct {
	text   []byte
	err    error
	fields map[reflect.Type][]field
	opaque map[reflect.Type]bool // whether a type has its own form
}

// A field of a struct as encoding/json sees it.
type field struct {
	index     []int
	key       string // quoted, with its colon
	omitEmpty bool
	omitZero  bool
}

// difference is the patch that makes after of before; "{}" when nothing changed.
func (p *patcher) difference(before, after *Live) ([]byte, error) {
	p.text, p.err = p.text[:0], nil
	if p.fields == nil {
		p.fields, p.opaque = make(map[reflect.Type][]field), make(map[reflect.Type]bool)
	}
	if !p.diff(reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()) {
		return []byte("{}"), nil
	}
	return slices.Clone(p.text), p.err
}

// diff appends what makes after of before, and tells whether that is anything.
func (p *patcher) diff(before, after reflect.Value) bool {
	if p.encodesItself(after.Type()) {
		return p.leaf(before.Equal(after), after)
	}
	switch after.Kind() {
	case reflect.Struct:
		return p.diffStruct(before, after)
	case reflect.Map:
		return p.diffMap(before, after)
	case reflect.Pointer:
		if before.Pointer() == after.Pointer() {
			return false
		}
		if before.IsNil() || after.IsNil() {
			return p.leaf(false, after)
		}
		return p.diff(before.Elem(), after.Elem())
	case reflect.Slice: // a merge patch replaces an array as a whole
		return p.leaf(reflect.DeepEqual(before.Interface(), after.Interface()), after)
	}
	return p.leaf(before.Equal(after), after)
}

// encodesItself tells whether a type has its own form, so that its fields do not
// matter. All such types here can be compared.
func (p *patcher) encodesItself(t reflect.Type) bool {
	known, ok := p.opaque[t]
	if !ok {
		known = t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || t.Implements(reflect.TypeFor[json.Marshaler]())
		p.opaque[t] = known
	}
	return known
}

func (p *patcher) leaf(same bool, after reflect.Value) bool {
	if !same {
		p.encode(after.Interface())
	}
	return !same
}

// encode appends a whole value.
func (p *patcher) encode(value any) {
	text, err := json.Marshal(value)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("write a change as JSON: %w", err)
	}
	p.text = append(p.text, text...)
}

// object appends an object of those members that differ. each calls member for
// all of them; it appends a value, or nothing when the member stays.
func (p *patcher) object(each func(member func(key string, value func() bool))) bool {
	start := len(p.text)
	p.text = append(p.text, '{')
	empty := true
	each(func(key string, value func() bool) {
		before := len(p.text)
		if !empty {
			p.text = append(p.text, ',')
		}
		p.text = append(p.text, key...)
		if !value() {
			p.text = p.text[:before]
			return
		}
		empty = false
	})
	if empty {
		p.text = p.text[:start]
		return false
	}
	p.text = append(p.text, '}')
	return true
}

func (p *patcher) remove() bool {
	p.text = append(p.text, "null"...)
	return true
}

func (p *patcher) diffStruct(before, after reflect.Value) bool {
	return p.object(func(member func(string, func() bool)) {
		for _, f := range p.fieldsOf(after.Type()) {
			was, is := before.FieldByIndex(f.index), after.FieldByIndex(f.index)
			member(f.key, func() bool {
				switch hadNone, hasNone := f.omitted(was), f.omitted(is); {
				case hasNone:
					return !hadNone && p.remove()
				case hadNone:
					return p.leaf(false, is)
				}
				return p.diff(was, is)
			})
		}
	})
}

func (p *patcher) diffMap(before, after reflect.Value) bool {
	if flows, ok := after.Interface().(map[string]*model.FlowStatus); ok {
		return p.diffFlows(before.Interface().(map[string]*model.FlowStatus), flows)
	}
	return p.object(func(member func(string, func() bool)) {
		for it := after.MapRange(); it.Next(); {
			member(quoted(it.Key().String()), func() bool {
				if was := before.MapIndex(it.Key()); was.IsValid() {
					return p.diff(was, it.Value())
				}
				return p.leaf(false, it.Value())
			})
		}
		for it := before.MapRange(); it.Next(); {
			if !after.MapIndex(it.Key()).IsValid() {
				member(quoted(it.Key().String()), p.remove)
			}
		}
	})
}

// diffFlows does what diffMap does, for the one map that is large: most of its
// entries are found to be the same without reflection.
func (p *patcher) diffFlows(before, after map[string]*model.FlowStatus) bool {
	return p.object(func(member func(string, func() bool)) {
		for name, is := range after {
			was := before[name]
			switch {
			case was == nil:
				member(quoted(name), func() bool { return p.leaf(false, reflect.ValueOf(is)) })
			case !sameFlow(was, is):
				member(quoted(name), func() bool { return p.diffStruct(reflect.ValueOf(was).Elem(), reflect.ValueOf(is).Elem()) })
			}
		}
		for name := range before {
			if after[name] == nil {
				member(quoted(name), p.remove)
			}
		}
	})
}

func sameFlow(a, b *model.FlowStatus) bool {
	return a == b || a.Name == b.Name && a.Policy == b.Policy && a.Director == b.Director && a.Applied == b.Applied &&
		a.Total == b.Total && slices.Equal(a.VIPs, b.VIPs) && maps.Equal(a.Verdicts, b.Verdicts)
}

// quoted is a key of an object.
func quoted(key string) string {
	text, err := json.Marshal(key)
	if err != nil {
		return `"":` // a string always encodes
	}
	return string(text) + ":"
}

// fieldsOf lists the fields of a struct that are encoded, those of embedded
// structs too where nothing hides them.
func (p *patcher) fieldsOf(t reflect.Type) []field {
	if known, ok := p.fields[t]; ok {
		return known
	}
	var all []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		all = append(all, field{index: f.Index, key: quoted(name),
			omitEmpty: strings.Contains(options, "omitempty"), omitZero: strings.Contains(options, "omitzero")})
	}
	p.fields[t] = all
	return all
}

// omitted tells whether encoding/json leaves the field out.
func (f field) omitted(v reflect.Value) bool {
	if f.omitZero && v.IsZero() {
		return true
	}
	if !f.omitEmpty {
		return false
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
