package agent

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"fairlead/internal/api"
	"fairlead/internal/model"
)

// Templates lists what option persistence remembers of clients, by client.
func (a *Agent) Templates(_ context.Context, query api.TemplateQuery) (api.Templates, error) {
	all, err := a.parts.Plane.Templates()
	if err != nil {
		return api.Templates{}, err
	}
	found := api.Templates{Known: len(all)}
	for _, t := range all {
		if (query.Director == "" || query.Director == t.Director) && (!query.Client.IsValid() || query.Client.Overlaps(t.Client)) {
			found.Templates = append(found.Templates, api.Template(t))
		}
	}
	slices.SortFunc(found.Templates, func(a, b api.Template) int {
		return cmp.Or(a.Client.Compare(b.Client), cmp.Compare(a.Director, b.Director))
	})
	found.Matched = len(found.Templates)
	limit := min(cmp.Or(max(query.Limit, 0), api.DefaultConnections), mostConnections)
	found.Templates = found.Templates[:min(found.Matched, limit)]
	return found, nil
}

// ForgetTemplates removes those of a director; of a valid client only those of it.
func (a *Agent) ForgetTemplates(_ context.Context, by model.Actor, director string, client netip.Prefix) (api.Forgotten, error) {
	of := director
	if client.IsValid() {
		of += ", client " + client.String()
	}
	if !slices.ContainsFunc(a.view.Load().directors, func(d model.DirectorStatus) bool { return d.Name == director }) {
		return api.Forgotten{}, fmt.Errorf("there is no director %s: %w", director, api.ErrNotFound)
	}
	n, err := a.parts.Plane.ForgetTemplates(director, client)
	a.Audit(by, fmt.Sprintf("forgot %d templates of %s", n, of), err)
	return api.Forgotten{Forgotten: n}, err
}
