package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"fairlead/internal/model"
)

// Effects tells in words what changes when one configuration takes the place of
// another: what goes first, then what comes, then what changes. Nothing is told
// only of equal configurations.
func Effects(old, after model.Config) []string {
	var e effects
	e.flows(old, after)
	e.directors(old, after)
	e.fields("the LVS service", old.LVS, after.LVS)
	if old.Web != after.Web {
		e.changed("the web pages are served at %s", whereWeb(after.Web))
	}
	e.notify(old.Notify, after.Notify)
	return slices.Concat(e.gone, e.come, e.other)
}

// effects collects what changes, by weight.
type effects struct{ gone, come, other []string }

func (e *effects) removed(format string, args ...any) {
	e.gone = append(e.gone, fmt.Sprintf(format, args...))
}
func (e *effects) added(format string, args ...any) {
	e.come = append(e.come, fmt.Sprintf(format, args...))
}
func (e *effects) changed(format string, args ...any) {
	e.other = append(e.other, fmt.Sprintf(format, args...))
}

func (e *effects) flows(old, after model.Config) {
	name := func(f model.Flow) string { return f.Name }
	before, now := byName(old.Flows, name), byName(after.Flows, name)
	for _, f := range old.Flows {
		if _, stays := now[f.Name]; !stays {
			e.removed("%s is removed: packets to %s are no longer its own", flowName(f), vipsOf(f))
		}
	}
	for _, f := range after.Flows {
		was, known := before[f.Name]
		switch {
		case !known:
			e.added("%s is added: packets to %s go to %s", flowName(f), vipsOf(f), policyOf(f))
		case policyOf(was) != policyOf(f) || was.Out != f.Out || was.Table != f.Table:
			e.changed("%s: packets to %s go to %s instead of %s", flowName(f), vipsOf(f), policyOf(f), policyOf(was))
		}
		if known && !slices.Equal(was.Rules, f.Rules) {
			e.changed("%s: its rules change: %d instead of %d, for packets to %s", flowName(f), len(f.Rules), len(was.Rules), vipsOf(f))
		}
	}
	if !slices.Equal(order(old.Flows, name, now), order(after.Flows, name, before)) {
		e.changed("the order of the flows changes: the first that matches a packet decides")
	}
}

func flowName(f model.Flow) string {
	if f.Out {
		return "outflow " + f.Name
	}
	return "flow " + f.Name
}

func policyOf(f model.Flow) string {
	switch f.Policy {
	case model.PolicyDirector:
		return "director " + f.Director
	case model.PolicyTable:
		return fmt.Sprintf("routing table %d", f.Table)
	}
	return f.Policy.String()
}

// vipsOf are the destinations that the rules of a flow name.
func vipsOf(f model.Flow) string {
	var all []string
	for _, r := range f.Rules {
		if text := "any address"; !r.Ignore {
			if r.Dst.Set {
				text = bare(r.Dst.Value)
			}
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	if len(all) == 0 {
		return "no address"
	}
	return strings.Join(all, ", ")
}

// bare is a prefix as people write it: one address without its length.
func bare(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func (e *effects) directors(old, after model.Config) {
	name := func(d model.Director) string { return d.Name }
	before, now := byName(old.Directors, name), byName(after.Directors, name)
	for _, d := range old.Directors {
		if _, stays := now[d.Name]; !stays {
			e.removed("director %s is removed with its %d servers", d.Name, len(d.Servers))
		}
	}
	for _, d := range after.Directors {
		was, known := before[d.Name]
		if !known {
			e.added("director %s is added with %d servers", d.Name, len(d.Servers))
			continue
		}
		e.servers(was, d)
		of := "director " + d.Name
		e.fields(of, was, d)
		if !slices.Equal(was.Check.Tests, d.Check.Tests) {
			e.changed("%s: its servers are checked by %s instead of %s", of, testsOf(d.Check), testsOf(was.Check))
		}
		if was.Balanced() != d.Balanced() {
			e.changed("%s: %s", of, balancedNow(d))
		}
	}
	if !slices.Equal(order(old.Directors, name, now), order(after.Directors, name, before)) {
		e.changed("the order of the directors changes, which means nothing")
	}
}

// testsOf are the tests of a check, as the configuration says them.
func testsOf(c model.Check) string {
	var all []string
	for _, t := range c.Tests {
		text := t.String()
		if t.Port != 0 {
			text += fmt.Sprintf(" port %d", t.Port)
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return model.CheckTCP.String()
	}
	return strings.Join(all, " and ")
}

func balancedNow(d model.Director) string {
	if d.Balanced() {
		return "several servers share the connections from now on"
	}
	return "one server is active at a time from now on"
}

func (e *effects) servers(old, after model.Director) {
	name := func(s model.Server) string { return s.Name }
	before, now := byName(old.Servers, name), byName(after.Servers, name)
	of := "director " + after.Name
	for _, s := range old.Servers {
		if _, stays := now[s.Name]; !stays {
			e.removed("%s: server %s is removed; its connections are reset", of, s.Name)
		}
	}
	for _, s := range after.Servers {
		was, known := before[s.Name]
		if !known {
			e.added("%s: server %s (%s) is added", of, s.Name, s.Addr)
			continue
		}
		e.fields(of+": server "+s.Name, was, s)
	}
	if !slices.Equal(order(old.Servers, name, now), order(after.Servers, name, before)) {
		e.changed("%s: the order of its servers changes: the first that is up is preferred", of)
	}
}

// words are what the fields of values are called. One that is missing is called by
// its name, so that no change is passed over.
var words = map[string]string{
	"ExpireNoDestConn": "expire_nodest_conn", "ExpireQuiescentTemplate": "expire_quiescent_template",
	"FailbackDelay": "the delay of its failback", "LastActive": "lastactive", "HoldDown": "holddown",
	"OnNoServer":       "what becomes of clients while it has no server",
	"Check.Own":        "whether it is checked at its servers' own addresses only",
	"Persistence.Bits": "the netmask of its persistence",
	"Fence.Command":    "its fence hook", "Promote.Command": "its promote hook",
	"Sync.MaxLag": "the maxlag of its standby servers", "Sync.File": "the heartbeat file of its synccheck",
	"Sync.Command": "the programme of its synccheck",
	"Addr":         "its address", "Check": "whether it is checked", "Sorry": "whether it is a sorry server",
}

// fields tells of the fields that differ, those of inner structures by
// themselves. Lists are told of elsewhere.
func (e *effects) fields(of string, old, after any) {
	e.inner(of, "", reflect.ValueOf(old), reflect.ValueOf(after))
}

func (e *effects) inner(of, path string, old, after reflect.Value) {
	if old.Type() == reflect.TypeFor[netip.Addr]() || old.Kind() != reflect.Struct {
		if old.Kind() != reflect.Slice && old.Interface() != after.Interface() {
			e.changed("%s: %s changes from %s to %s", of, fieldName(path), said(old), said(after))
		}
		return
	}
	for i := range old.NumField() {
		name := strings.TrimPrefix(path+"."+old.Type().Field(i).Name, ".")
		e.inner(of, name, old.Field(i), after.Field(i))
	}
}

func fieldName(path string) string {
	if word, ok := words[path]; ok {
		return word
	}
	if outer, inner, nested := strings.Cut(path, "."); nested {
		return "the " + strings.ToLower(inner) + " of its " + strings.ToLower(outer)
	}
	return "its " + strings.ToLower(path)
}

// said is a value as people write it.
func said(v reflect.Value) string {
	switch text := fmt.Sprint(v.Interface()); text {
	case "", "invalid IP":
		return "none"
	case "true":
		return "yes"
	case "false":
		return "no"
	default:
		return text
	}
}

func whereWeb(w model.Web) string {
	switch {
	case w.Off:
		return "no address any more"
	case w.TLS == model.WebTLSOff:
		return fmt.Sprintf("http://%s", w.Listen)
	case w.TLS == model.WebTLSFiles:
		return fmt.Sprintf("https://%s with the certificate %s (key %s)", w.Listen, w.Cert, w.Key)
	}
	return fmt.Sprintf("https://%s with a certificate of their own", w.Listen)
}

// notify tells of who is notified, without the secrets of a webhook's URL.
func (e *effects) notify(old, after []model.Target) {
	in := func(all []model.Target) func(model.Target) bool {
		return func(t model.Target) bool {
			return !slices.ContainsFunc(all, func(u model.Target) bool { return reflect.DeepEqual(t, u) })
		}
	}
	for _, t := range old {
		if in(after)(t) {
			e.removed("%s %s is no longer notified as before", t.Kind, hiddenTo(t))
		}
	}
	for _, t := range after {
		if in(old)(t) {
			e.added("%s %s is notified of %d kinds of events", t.Kind, hiddenTo(t), len(t.Events))
		}
	}
	if len(e.gone)+len(e.come)+len(e.other) == 0 && !reflect.DeepEqual(old, after) && len(old)+len(after) > 0 {
		e.changed("the order of who is notified changes, which means nothing")
	}
}

func hiddenTo(t model.Target) string {
	if t.Kind != model.TargetWebhook {
		return t.To
	}
	hidden, _ := redactLine(t.To)
	return hidden
}

func byName[T any](all []T, name func(T) string) map[string]T {
	m := make(map[string]T, len(all))
	for _, one := range all {
		m[name(one)] = one
	}
	return m
}

// order are the names of those that others have too.
func order[T any](all []T, name func(T) string, others map[string]T) []string {
	var names []string
	for _, one := range all {
		if _, ok := others[name(one)]; ok {
			names = append(names, name(one))
		}
	}
	return names
}
