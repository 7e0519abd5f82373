package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// TemplateQuery selects templates. What is empty does not matter.
type TemplateQuery struct {
	Director string
	Client   netip.Prefix // those that overlap it
	Limit    int          // 0: DefaultConnections
}

// Templates is a list of templates.
type Templates struct {
	Templates []Template `json:"templates"` // by client
	Matched   int        `json:"matched"`   // how many there are beyond the limit too
	Known     int        `json:"known"`     // of all directors
}

// Template keeps a client, or a network of clients, on a server.
type Template struct {
	Client   netip.Prefix  `json:"client"`
	Director string        `json:"director"`
	Server   string        `json:"server"`
	Left     time.Duration `json:"left_ns"` // until it ends, if no connection begins or ends by it
	Holds    bool          `json:"holds"`   // new connections go by it; false: its server takes none
}

// Forgotten says how many templates were removed.
type Forgotten struct {
	Forgotten int `json:"forgotten"`
}

func (h *handler) templates(r *request) (Templates, error) {
	query, err := parseTemplateQuery(r.URL.Query(), "list templates")
	if err != nil {
		return Templates{}, err
	}
	found, err := h.daemon.Templates(r.Context(), query)
	found.Templates = listed(found.Templates)
	return found, err
}

func (h *handler) forgetTemplates(r *request) (Forgotten, error) {
	query, err := parseTemplateQuery(r.URL.Query(), "forget templates")
	if err != nil {
		return Forgotten{}, err
	}
	if query.Director == "" {
		return Forgotten{}, malformed("forget templates: the director is missing: ?director=NAME")
	}
	return h.daemon.ForgetTemplates(r.Context(), r.by, query.Director, query.Client)
}

func parseTemplateQuery(values url.Values, doing string) (TemplateQuery, error) {
	q := TemplateQuery{Director: values.Get("director")}
	if text := values.Get("client"); text != "" {
		client, err := parseClient(text)
		if err != nil {
			return q, malformed("%s: the client %q is neither an address nor a network such as 192.168.10.0/24", doing, text)
		}
		q.Client = client
	}
	if text := values.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > mostConnections {
			return q, malformed("%s: the limit %q is not a number from 1 to %d", doing, text, mostConnections)
		}
		q.Limit = limit
	}
	return q, nil
}

// values is the query as parseTemplateQuery reads it.
func (q TemplateQuery) values() url.Values {
	return ConnectionQuery{Director: q.Director, Client: q.Client, Limit: q.Limit}.values()
}

// Templates lists what option persistence remembers of clients.
func (c *Client) Templates(ctx context.Context, query TemplateQuery) (Templates, error) {
	var found Templates
	err := c.call(ctx, http.MethodGet, "/api/v1/templates?"+query.values().Encode(), nil, &found)
	return found, err
}

// ForgetTemplates removes a director's templates; of a valid client only those of it.
func (c *Client) ForgetTemplates(ctx context.Context, director string, client netip.Prefix) (Forgotten, error) {
	var done Forgotten
	err := c.call(ctx, http.MethodDelete, "/api/v1/templates?"+TemplateQuery{Director: director, Client: client}.values().Encode(), nil, &done)
	return done, err
}
