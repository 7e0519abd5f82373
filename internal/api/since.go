package api

import (
	"fmt"
	"strconv"
	"time"
)

// Since says where a reading of the journal begins: after the entry of that
// number, and not before that instant. The zero Since is the beginning.
type Since struct {
	Seq uint64
	At  time.Time
}

// String is the form that ParseSince reads.
func (s Since) String() string {
	switch {
	case !s.At.IsZero():
		return s.At.Format(time.RFC3339Nano)
	case s.Seq > 0:
		return strconv.FormatUint(s.Seq, 10)
	}
	return ""
}

// ParseSince reads the number of an entry, an instant (RFC 3339), or a span of
// time before now, such as 90m. An empty text is the beginning.
func ParseSince(text string, now time.Time) (Since, error) {
	if text == "" {
		return Since{}, nil
	}
	if seq, err := strconv.ParseUint(text, 10, 64); err == nil {
		return Since{Seq: seq}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return Since{At: at}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return Since{At: now.Add(-d)}, nil
	}
	return Since{}, fmt.Errorf("read the beginning %q: write a span of time such as 90m or 24h, an instant such as %s, or the number of an entry",
		text, now.UTC().Format(time.RFC3339))
}
