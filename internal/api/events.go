package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"fairlead/internal/model"
)

// An eventQuery selects entries of the journal.
type eventQuery struct {
	since    Since
	follow   bool
	sse      bool
	kinds    []model.EventKind // none: all
	director string            // "": all
}

func (q eventQuery) wants(e model.Event) bool {
	return (len(q.kinds) == 0 || slices.Contains(q.kinds, e.Kind)) && (q.director == "" || q.director == e.Director)
}

// parseEventQuery reads what is asked for. A browser that comes back names the
// last entry that it got, which then counts more than the address.
func parseEventQuery(r *request, now time.Time) (eventQuery, error) {
	values := r.URL.Query()
	q := eventQuery{director: values.Get("director"), sse: strings.Contains(r.Header.Get("Accept"), string(eventStream))}
	q.follow = q.sse || values.Get("follow") == "1"
	var err error
	if q.since, err = ParseSince(values.Get("since"), now); err != nil {
		return q, err
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" && q.sse {
		seq, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return q, malformed("follow the events: the header Last-Event-ID is %q, which is not the number of an entry", last)
		}
		q.since = Since{Seq: seq}
	}
	for _, names := range values["kind"] {
		for name := range strings.SplitSeq(names, ",") {
			var kind model.EventKind
			if err := kind.UnmarshalText([]byte(name)); err != nil {
				return q, malformed("list events: %w", err)
			}
			q.kinds = append(q.kinds, kind)
		}
	}
	return q, nil
}
