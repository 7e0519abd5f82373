package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"fairlead/internal/model"
)

// template is a template with its key.
type template struct {
	key   directorTemplateKey
	value directorTemplate
}

// allTemplates reads the templates, of all directors. Some that packets make or
// evict meanwhile may be missed.
func (m tables) allTemplates() ([]template, error) {
	const chunk = 4096
	keys, values := make([]directorTemplateKey, chunk), make([]directorTemplate, chunk)
	var all []template
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.byName[directorMapTemplates].BatchLookup(&cursor, keys, values, nil)
		for i := range n {
			all = append(all, template{keys[i], values[i]})
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return all, nil
		}
		if err != nil {
			return all, fmt.Errorf("read the templates: %w", err)
		}
	}
}

// holds tells whether new connections of the template's clients go to its server.
func (s *directorShares) holds(t template, nowS uint32) bool {
	return s.Keeping>>(t.value.Server%uint8(maxServers))&1 != 0 && s.left(t, nowS) > 0
}

// left is how many seconds a template still lasts.
func (s *directorShares) left(t template, nowS uint32) int {
	if s.TemplateS == 0 {
		return 0
	}
	return max(int(s.TemplateS)+1-int(int32(nowS-t.value.UsedS)), 0)
}

// client is the network of the clients that share a template; those of IPv6 have
// one each.
func (s *directorShares) client(t template) netip.Prefix {
	addr := unwords(t.key.Client)
	if !addr.Is4() {
		return netip.PrefixFrom(addr, addr.BitLen())
	}
	mask := unbe(s.ClientMask).As4()
	ones, _ := net.IPMask(mask[:]).Size()
	return netip.PrefixFrom(addr, ones)
}

func nowS() uint32 { return uint32(monotonic() / uint64(time.Second)) }

// Templates lists the templates that have not ended.
func (p *Plane) Templates() ([]model.Template, error) {
	names, shares := *p.names.Load(), p.maps.settings().Shares
	found, err := p.maps.allTemplates()
	var all []model.Template
	for _, t := range found {
		s := &shares[t.key.Director%uint32(maxDirectors)]
		left := s.left(t, nowS())
		if left == 0 {
			continue
		}
		all = append(all, model.Template{
			Client:   s.client(t),
			Director: names[key{kind: kindDirector, index: uint16(t.key.Director)}],
			Server:   names[key{kindServer, uint8(t.key.Director), uint16(t.value.Server)}],
			Left:     time.Duration(left) * time.Second,
			Holds:    s.holds(t, nowS()),
		})
	}
	return all, err
}

// countTemplates adds how many templates each director has, if any can have one.
func (p *Plane) countTemplates(t *model.Traffic, names map[key]string) error {
	shares, now := &p.maps.settings().Shares, nowS()
	for i := range shares {
		if shares[i].TemplateS > 0 && t.Templates == nil {
			t.Templates = map[string]int{}
		}
	}
	if t.Templates == nil {
		return nil
	}
	found, err := p.maps.allTemplates()
	for _, one := range found {
		if director := one.key.Director % uint32(maxDirectors); shares[director].left(one, now) > 0 {
			t.Templates[names[key{kind: kindDirector, index: uint16(director)}]]++
		}
	}
	return err
}

// ForgetTemplates removes the templates of a director; with a valid network only
// those that overlap it. It returns how many there were.
func (p *Plane) ForgetTemplates(director string, client netip.Prefix) (int, error) {
	index, known := directorIndex(*p.names.Load(), director)
	if !known {
		return 0, fmt.Errorf("forget the templates of %s: the data plane does not know this director", director)
	}
	shares := &p.maps.settings().Shares[index]
	return p.maps.dropTemplates(func(t template) bool {
		return t.key.Director == uint32(index) && (!client.IsValid() || client.Overlaps(shares.client(t)))
	})
}

// dropTemplates removes those that the condition names.
func (m tables) dropTemplates(condition func(template) bool) (int, error) {
	found, err := m.allTemplates()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, t := range found {
		if !condition(t) {
			continue
		}
		switch err := m.byName[directorMapTemplates].Delete(t.key); {
		case err == nil:
			n++
		case !errors.Is(err, ebpf.ErrKeyNotExist):
			return n, fmt.Errorf("remove a template: %w", err)
		}
	}
	return n, nil
}

// tendTemplates removes the templates that have ended, and lets those go on whose
// connections last: it must come round before they end.
func (m tables) tendTemplates() error {
	const ahead = 2 * recountEvery / time.Second
	shares, now := &m.settings().Shares, nowS()
	found, err := m.allTemplates()
	if err != nil {
		return err
	}
	ending := map[directorTemplateKey]directorTemplate{}
	for _, t := range found {
		if s := &shares[t.key.Director%uint32(maxDirectors)]; s.left(t, now) <= int(ahead) {
			ending[t.key] = t.value
		}
	}
	if len(ending) == 0 {
		return nil
	}
	for at, c := range m.all() {
		s := &shares[int(c.director())%maxDirectors]
		k := directorTemplateKey{Director: uint32(c.director())}
		source, _ := m.tupleOf(at, c)
		if k.Client = words(source.Addr()); source.Addr().Is4() {
			k.Client[3] &= s.ClientMask
		}
		if v, ok := ending[k]; ok && s.TemplateS > 0 && v.Server == c.server() && m.weighs(c) {
			v.UsedS = now
			if err := m.byName[directorMapTemplates].Update(k, v, ebpf.UpdateExist); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("let a template go on: %w", err)
			}
			delete(ending, k)
		}
	}
	for k, v := range ending {
		if s := &shares[k.Director%uint32(maxDirectors)]; s.left(template{k, v}, now) > 0 {
			continue
		}
		if err := m.byName[directorMapTemplates].Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("remove a template that has ended: %w", err)
		}
	}
	return nil
}
