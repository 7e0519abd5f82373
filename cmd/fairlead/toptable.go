package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"fairlead/internal/model"
)

// topColumns are the figures of the table, those first that a narrow screen goes
// without.
type topColumn struct {
	title string
	width int
	of    func(topFigures) string
}

type topFigures struct{ packets, bytes, conns, check string }

func topColumns() []topColumn {
	return []topColumn{
		{"pkt/s", 7, func(f topFigures) string { return f.packets }},
		{"bytes/s", 10, func(f topFigures) string { return f.bytes }},
		{"conns", 6, func(f topFigures) string { return f.conns }},
		{"check", 9, func(f topFigures) string { return f.check }},
	}
}

// topShape is how a table fits into a width.
type topShape struct {
	name, state int
	columns     []topColumn
}

const (
	topMark     = 2 // columns before a name
	topLeast    = 16
	topBetween  = 2
	topLongName = 24
)

// shape gives the names what they need, drops figures that find no room, and
// leaves the rest to the words.
func (s topState) shape(width int) topShape {
	name := len("director/server")
	for _, d := range s.status.Directors {
		name = max(name, utf8.RuneCountInString(d.Name)-topMark)
		for _, one := range d.Servers {
			name = max(name, utf8.RuneCountInString(one.Name))
		}
	}
	t := topShape{name: min(name, topLongName, max(width/3, 8)), columns: topColumns()}
	for _, gone := range []string{"bytes/s", "check", "pkt/s", "conns", ""} {
		t.state = width - topMark - t.name - topBetween
		for _, c := range t.columns {
			t.state -= c.width + topBetween
		}
		if t.state >= topLeast || gone == "" {
			break
		}
		var left []topColumn
		for _, c := range t.columns {
			if c.title != gone {
				left = append(left, c)
			}
		}
		t.columns = left
	}
	t.state = max(t.state, 1)
	return t
}

func (t topShape) figures(f topFigures) string {
	var b strings.Builder
	for _, c := range t.columns {
		fmt.Fprintf(&b, "  %*s", c.width, c.of(f))
	}
	return b.String()
}

func (s topState) tableHead(width int) topLine {
	t := s.shape(width)
	var b strings.Builder
	for _, c := range t.columns {
		fmt.Fprintf(&b, "  %*s", c.width, c.title)
	}
	return line(topBold, "%-*s  %-*s%s", topMark+t.name, clip("director/server", topMark+t.name), t.state, clip("state", t.state), b.String())
}

// rows are the lines of the table, and where the selected server stands.
func (s topState) rows(width int) (rows []topLine, selected int) {
	t := s.shape(width)
	for _, d := range s.status.Directors {
		var servers []model.ServerStatus
		for _, one := range d.Servers {
			if s.shows(d, one) {
				servers = append(servers, one)
			}
		}
		if len(servers) == 0 && s.filter != "" {
			continue
		}
		rows = append(rows, s.directorRow(t, d))
		rows = append(rows, s.remarks(d)...)
		for _, one := range servers {
			ref := model.ServerRef{Director: d.Name, Server: one.Name}
			row := s.serverRow(t, ref, one)
			if ref == s.selected {
				selected = len(rows)
				row = marked(row, width)
			}
			rows = append(rows, row)
			if one.Health == model.HealthDown && one.Why != "" {
				rows = append(rows, line(topDim, "      why: %s", one.Why))
			}
		}
	}
	if len(rows) == 0 {
		what := "no director is configured"
		if s.filter != "" {
			what = "nothing matches the filter"
		}
		rows = append(rows, line(topDim, "  %s", what))
	}
	return rows, selected
}

func (s topState) directorRow(t topShape, d model.DirectorStatus) topLine {
	packets, bytes := s.perSecond(model.ServerRef{Director: d.Name})
	conns := short(d.Connections + d.Old)
	style := topPlain
	if d.Applied == "" && !d.Balanced || d.Applied != d.Desired {
		style = topRed
	}
	state := activity(d)
	if d.Old > 0 {
		state += fmt.Sprintf(", %s old", short(d.Old))
	}
	return topLine{
		{fmt.Sprintf("%-*s  ", topMark+t.name, clip(d.Name, topMark+t.name)), topBold},
		{fmt.Sprintf("%-*s", t.state, clip(state, t.state)), s.measured(style)},
		{t.figures(topFigures{packets, bytes, conns, ""}), topPlain},
	}
}

// remarks are what else there is to say of a director.
func (s topState) remarks(d model.DirectorStatus) []topLine {
	var all []topLine
	if d.Applied != d.Desired {
		text := orNone(d.Desired) + " should be active, but the data plane does not have it"
		if d.Why != "" {
			text += ": " + d.Why
		}
		all = append(all, line(topRed, "  ! %s", text))
	}
	if what := awaited(d); what != "" {
		if !d.StepSince.IsZero() {
			what += " (for " + ago(s.status.At.Sub(d.StepSince)) + ")"
		}
		all = append(all, line(topYellow, "  … %s", what))
	}
	if d.Held > 0 {
		all = append(all, line(topYellow, "  … %s kept, to be sent on", count(d.Held, "connection attempt")))
	}
	if d.Note != "" {
		all = append(all, line(topDim, "  note: %s", d.Note))
	}
	return all
}

func (s topState) serverRow(t topShape, ref model.ServerRef, one model.ServerStatus) topLine {
	packets, bytes := s.perSecond(ref)
	mark := "  "
	if one.Active {
		mark = "* "
	}
	return topLine{
		{mark + fmt.Sprintf("%-*s  ", t.name, middle(one.Name, t.name)), topPlain},
		{fmt.Sprintf("%-*s", t.state, clip(serverState(one), t.state)), s.measured(healthStyle(one.Health))},
		{t.figures(topFigures{packets, bytes, short(one.Connections), latency(one)}), topPlain},
	}
}

// serverState is a server's state in words.
func serverState(one model.ServerStatus) string {
	words := []string{one.Health.String()}
	if one.Active {
		words = append(words, "active")
	}
	if one.Mark != model.MarkNone {
		words = append(words, one.Mark.String())
	}
	if one.Sorry {
		words = append(words, "sorry")
	} else if one.Weight == 0 {
		words = append(words, "quiescent")
	}
	return strings.Join(words, ", ")
}

// measured is a style of what was measured: while nobody measures, nothing looks
// well or ill.
func (s topState) measured(style topStyle) topStyle {
	if !s.lost.IsZero() || hangs(s.status) > 0 {
		return topDim
	}
	return style
}

func healthStyle(h model.Health) topStyle {
	switch h {
	case model.HealthUp:
		return topGreen
	case model.HealthDown:
		return topRed
	case model.HealthUnknown, model.HealthUnchecked:
		return topYellow
	}
	return topPlain
}

// marked shows a row as the selected one, over the whole width.
func marked(row topLine, width int) topLine {
	var all topLine
	used := 0
	for _, span := range row {
		all = append(all, topSpan{span.text, span.style | topReverse})
		used += utf8.RuneCountInString(span.text)
	}
	return append(all, topSpan{strings.Repeat(" ", max(width-used, 0)), topReverse})
}
