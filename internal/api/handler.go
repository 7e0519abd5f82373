package api

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"fairlead/internal/model"
)

// DaemonHealth is how the daemon itself does.
type DaemonHealth struct {
	Since      time.Time             `json:"since"`              // its start
	Heartbeat  time.Time             `json:"heartbeat,omitzero"` // when its loop last went round
	Services   []model.ServiceStatus `json:"services"`
	Generation uint64                `json:"generation"`
	Version    string                `json:"version"`
}

// PoolServer is a real server with the name of its director.
type PoolServer struct {
	Director string `json:"director"`
	model.ServerStatus
}

func (h *handler) status(*request) (model.Status, error) { return h.look(), nil }

// look is the status without nulls: an empty list is sent as one.
func (h *handler) look() model.Status {
	s := h.daemon.Status()
	s.Sources, s.Interfaces, s.Alarms = listed(s.Sources), listed(s.Interfaces), listed(s.Alarms)
	s.Services, s.Verdicts = listed(s.Services), mapped(s.Verdicts)
	if s.Flows = listed(s.Flows); slices.ContainsFunc(s.Flows, func(f model.FlowStatus) bool { return f.VIPs == nil || f.Verdicts == nil }) {
		s.Flows = slices.Clone(s.Flows) // the daemon's own stays as it is
		for i, f := range s.Flows {
			s.Flows[i].VIPs, s.Flows[i].Verdicts = listed(f.VIPs), mapped(f.Verdicts)
		}
	}
	s.Directors = slices.Clone(listed(s.Directors))
	for i, d := range s.Directors {
		s.Directors[i].Servers = listed(d.Servers)
	}
	return s
}

// listed makes an empty list of none.
func listed[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func mapped[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return m
}

func (h *handler) health(*request) (DaemonHealth, error) {
	s := h.look()
	return DaemonHealth{Since: s.Since, Heartbeat: s.Turned, Services: s.Services, Generation: s.Generation, Version: s.Version}, nil
}

func (h *handler) flows(*request) ([]model.FlowStatus, error) { return h.look().Flows, nil }

func (h *handler) directors(*request) ([]model.DirectorStatus, error) { return h.look().Directors, nil }

func (h *handler) director(r *request) (model.DirectorStatus, error) {
	return h.find(r.PathValue("director"))
}

// find looks a director up. Its name is nothing but a name.
func (h *handler) find(name string) (model.DirectorStatus, error) {
	for _, d := range h.look().Directors {
		if d.Name == name {
			return d, nil
		}
	}
	return model.DirectorStatus{}, fmt.Errorf("find the director %q: %w", name, ErrNotFound)
}

func (h *handler) servers(r *request) ([]PoolServer, error) {
	directors := h.look().Directors
	if name := r.URL.Query().Get("director"); name != "" {
		d, err := h.find(name)
		if err != nil {
			return nil, err
		}
		directors = []model.DirectorStatus{d}
	}
	all := []PoolServer{}
	for _, d := range directors {
		for _, s := range d.Servers {
			all = append(all, PoolServer{d.Name, s})
		}
	}
	return all, nil
}

func (h *handler) server(r *request) (PoolServer, error) {
	d, err := h.find(r.PathValue("director"))
	if err != nil {
		return PoolServer{}, err
	}
	for _, s := range d.Servers {
		if s.Name == r.PathValue("server") {
			return PoolServer{d.Name, s}, nil
		}
	}
	return PoolServer{}, fmt.Errorf("find the server %q of the director %s: %w", r.PathValue("server"), d.Name, ErrNotFound)
}

func (h *handler) history(r *request) ([]Probed, error) {
	probed, err := h.daemon.History(model.ServerRef{Director: r.PathValue("director"), Server: r.PathValue("server")})
	return listed(probed), err
}

// mostConnections bounds what one request may list.
const mostConnections = 10000

func (h *handler) connections(r *request) (Connections, error) {
	query, err := parseConnectionQuery(r.URL.Query())
	if err != nil {
		return Connections{}, err
	}
	found, err := h.daemon.Connections(r.Context(), query)
	found.Connections = listed(found.Connections)
	return found, err
}

func parseConnectionQuery(values url.Values) (ConnectionQuery, error) {
	q := ConnectionQuery{Director: values.Get("director"), Server: values.Get("server"), State: values.Get("state")}
	if !slices.Contains([]string{"", "open", "ended", "old"}, q.State) {
		return q, malformed("list connections: there is no state %q; it is open, ended or old", q.State)
	}
	if text := values.Get("client"); text != "" {
		client, err := parseClient(text)
		if err != nil {
			return q, malformed("list connections: the client %q is neither an address nor a network such as 192.168.10.0/24", text)
		}
		q.Client = client
	}
	if text := values.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > mostConnections {
			return q, malformed("list connections: the limit %q is not a number from 1 to %d", text, mostConnections)
		}
		q.Limit = limit
	}
	return q, nil
}

// parseClient reads an address, which is a network of one, or a network.
func parseClient(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

// values is the query as parseConnectionQuery reads it.
func (q ConnectionQuery) values() url.Values {
	v := url.Values{}
	for name, text := range map[string]string{"director": q.Director, "server": q.Server, "state": q.State} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.Client.IsValid() {
		v.Set("client", q.Client.String())
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

func (h *handler) diagnosis(*request) (model.Diagnosis, error) {
	d, err := h.daemon.Diagnosis()
	return whole(d), err
}

func (h *handler) examine(r *request) (model.Diagnosis, error) {
	d, err := h.daemon.Examine(r.Context(), r.by)
	return whole(d), err
}

// whole has empty lists where there is nothing to list.
func whole(d model.Diagnosis) model.Diagnosis {
	d.Findings, d.Unseen = listed(d.Findings), listed(d.Unseen)
	return d
}

func (h *handler) order(r *request) (Ordered, error) {
	order, err := decodeOrder(r.text)
	if err != nil {
		return Ordered{}, err
	}
	if order.Director == "" || order.Server == "" {
		return Ordered{}, malformed("order a %s: both the director and the server must be named", order.Verb)
	}
	return h.daemon.Order(r.Context(), r.by, order)
}

// decodeOrder reads an order. Its verb must be there: none would be the first one,
// which is a switch.
func decodeOrder(text []byte) (Order, error) {
	sent, err := decode[struct {
		Order
		Verb *model.Verb `json:"verb"`
	}](text)
	if err != nil {
		return Order{}, err
	}
	if sent.Verb == nil {
		return Order{}, malformed("order something: the verb is missing; it is switch, drain, disable or enable")
	}
	sent.Order.Verb = *sent.Verb
	return sent.Order, nil
}

func (h *handler) restart(r *request) (nothing, error) {
	return nothing{}, h.daemon.Restart(r.Context(), r.by, r.PathValue("service"))
}

func (h *handler) reload(r *request) (Reloaded, error) {
	done, err := h.daemon.Reload(r.Context(), r.by)
	done.Warnings = listed(done.Warnings)
	return done, err
}
