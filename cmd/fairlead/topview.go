package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"fairlead/internal/model"
)

// topStyle is how a text looks. Colours never carry meaning alone.
type topStyle uint8

const (
	topPlain   topStyle = 0
	topBold    topStyle = 1
	topDim     topStyle = 2
	topReverse topStyle = 4
	topRed     topStyle = 8
	topGreen   topStyle = 16
	topYellow  topStyle = 32
)

type topSpan struct {
	text  string
	style topStyle
}

// topLine is one line of the screen.
type topLine []topSpan

func line(style topStyle, format string, args ...any) topLine {
	return topLine{{fmt.Sprintf(format, args...), style}}
}

const topKeys = "s switch  d drain  x disable  e enable  f filter  p pause  r interval  ? help  q quit"

// lines is the picture: at most so many lines, each at most so wide.
func (s topState) lines(width, height int) []topLine {
	var all []topLine
	if s.help {
		all = s.helpLines()
	} else {
		bottom := s.prompt(width, height)
		all = append(s.head(width, height), s.body(width, height-len(bottom))...)
		all = all[:min(len(all), max(height-len(bottom), 0))]
		for len(all)+len(bottom) < height {
			all = append(all, nil)
		}
		all = append(all, bottom...)
	}
	all = all[:min(len(all), height)]
	for len(all) < height {
		all = append(all, nil)
	}
	for i := range all {
		all[i] = all[i].cut(width)
	}
	return all
}

// head says how fresh the picture is, and what is wrong.
func (s topState) head(width, height int) []topLine {
	all := []topLine{s.title(width)}
	most := max(height/6, 1)
	if !s.lost.IsZero() {
		all = append(all, wrapped(topBold|topRed, width, most, fmt.Sprintf("The daemon does not answer since %s (%s); %s. Nobody checks the servers, and nobody switches. Why: %s",
			s.lost.Format("15:04:05"), ago(s.now.Sub(s.lost)), s.forwards, s.lostWhy))...)
	} else if d := hangs(s.status); d > 0 {
		all = append(all, wrapped(topBold|topRed, width, most, fmt.Sprintf("The daemon hangs: its last sign of life is %s old. Nobody checks the servers, and nobody switches; the data plane keeps forwarding.", ago(d)))...)
	}
	return append(all, s.alarmLines(most)...)
}

func (s topState) title(width int) topLine {
	left := fmt.Sprintf("fairlead %s, up %s, generation %d", s.status.Version, ago(s.status.At.Sub(s.status.Since)), s.status.Generation)
	right := fmt.Sprintf("every %v  %s", s.interval, s.status.At.Format("15:04:05"))
	if !s.lost.IsZero() {
		right = "as of " + s.status.At.Format("15:04:05")
	}
	if s.paused {
		right = "PAUSED as of " + s.status.At.Format("15:04:05")
	}
	gap := width - utf8.RuneCountInString(left) - utf8.RuneCountInString(right)
	if gap < 2 {
		return line(topBold, "%s", right)
	}
	return topLine{{left + strings.Repeat(" ", gap), topPlain}, {right, topBold}}
}

// alarmLines shows the alarms, each with what to do, in at most so many pairs of
// lines.
func (s topState) alarmLines(most int) []topLine {
	if len(s.status.Alarms) == 0 && !s.lost.IsZero() {
		return []topLine{line(topPlain, "No alarms when the daemon was last heard.")}
	}
	if len(s.status.Alarms) == 0 {
		return []topLine{line(topPlain, "No alarms.")}
	}
	all := []topLine{line(topBold|topRed, "%s", strings.ToUpper(count(len(s.status.Alarms), "alarm")))}
	for i, a := range s.status.Alarms {
		if i == most {
			return append(all, line(topDim, "  … and %d more: fairlead status", len(s.status.Alarms)-i))
		}
		all = append(all, line(topRed, "  ! %s", a.What), line(topPlain, "    do: %s", a.Do))
	}
	return all
}

// body is the table of servers and, below it, what happened last.
func (s topState) body(width, height int) []topLine {
	room := height - len(s.head(width, height))
	rows, selected := s.rows(width)
	events := 0
	if room >= 12 {
		events = max(room-len(rows)-2, room/3)
	}
	all := []topLine{s.tableHead(width)}
	all = append(all, scrolled(rows, selected, room-events-1)...)
	if events > 0 {
		all = append(all, line(topBold, "Last events"))
		all = append(all, s.eventLines(events-1)...)
	}
	return all
}

// scrolled are the rows around the selected one that find room. What is cut off
// is said.
func scrolled(rows []topLine, selected, room int) []topLine {
	if len(rows) <= room || room < 1 {
		return rows[:max(min(len(rows), room), 0)]
	}
	first := max(min(selected-room/2, len(rows)-room), 0)
	shown := append([]topLine{}, rows[first:first+room]...)
	if room < 4 {
		return shown
	}
	if first > 0 {
		shown[0] = line(topDim, "  … %d lines above", first+1)
	}
	if below := len(rows) - first - room; below > 0 {
		shown[room-1] = line(topDim, "  … %d lines below", below+1)
	}
	return shown
}

func (s topState) eventLines(most int) []topLine {
	var all []topLine
	for _, e := range s.events[max(0, len(s.events)-most):] {
		style := topPlain
		if e.Kind == model.EventAlarm {
			style = topRed
		}
		all = append(all, line(style, "%s %-10s %s", e.At.Format("15:04:05"), e.Kind, eventText(e)))
	}
	if len(all) == 0 && most > 0 {
		all = append(all, line(topDim, "none yet"))
	}
	return all
}

// prompt is the foot of the screen: a question, an outcome, or the keys.
func (s topState) prompt(width, height int) []topLine {
	most := max(height/4, 1)
	var all []topLine
	switch {
	case s.question != nil:
		return wrapped(topBold|topYellow, width, max(most, 4), s.question.text)
	case s.typing:
		return []topLine{line(topBold, "Filter: %s_  (Enter keeps it, Esc drops it)", s.filter)}
	case s.running != nil:
		all = wrapped(topBold, width, most, s.progress()+" "+s.message)
	case s.refused != nil:
		all = wrapped(topBold|topYellow, width, max(most, 3), s.message+". F forces it, which may cost data; Esc leaves it.")
	case s.message != "":
		all = wrapped(topBold, width, most, s.message)
	}
	keys := topKeys
	if s.filter != "" {
		keys = fmt.Sprintf("Filter: %s (Esc drops it)  %s", s.filter, keys)
	}
	if utf8.RuneCountInString(keys) > width && s.filter == "" {
		keys = "s switch  d drain  x disable  e enable  ? more  q quit"
	}
	if utf8.RuneCountInString(keys) > width && s.filter == "" {
		keys = "? help  q quit"
	}
	return append(all, line(topDim, "%s", keys))
}

// progress says what a given order waits for.
func (s topState) progress() string {
	text := fmt.Sprintf("Carrying out: %s %s/%s …", s.running.Verb, s.running.Director, s.running.Server)
	if d, ok := s.director(s.running.Director); ok {
		if what := awaited(d); what != "" {
			text += " " + what
		}
	}
	return text
}

func (s topState) helpLines() []topLine {
	all := []topLine{line(topBold, "fairlead top: the keys"), nil}
	for _, k := range [][2]string{
		{"↑ ↓ j k", "select a server (also PgUp, PgDn, Home, End)"},
		{"s", "switch: make the selected server the active one"},
		{"d", "drain: give it no new connections"},
		{"x", "disable: do not use it at all"},
		{"e", "enable: take drain and disable back"},
		{"F", "force an order that was refused"},
		{"f /", "filter by name, address or state; Esc drops it"},
		{"p", "pause the picture"},
		{"r", "another interval: 0.5 to 10 s"},
		{"q", "quit"},
	} {
		all = append(all, topLine{{fmt.Sprintf("  %-8s ", k[0]), topBold}, {k[1], topPlain}})
	}
	return append(all, nil, line(topPlain, "Each order is confirmed with y. A * marks where the"),
		line(topPlain, "kernel forwards to. Any key goes back."))
}

// cut ends a line at the width.
func (l topLine) cut(width int) topLine {
	var all topLine
	for _, span := range l {
		n := utf8.RuneCountInString(span.text)
		if n > width {
			return append(all, topSpan{clip(span.text, width), span.style})
		}
		all = append(all, span)
		width -= n
	}
	return all
}

// clip cuts a text, and shows that it did.
func clip(text string, width int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= width:
		return text
	case width < 1:
		return ""
	}
	return string(runes[:width-1]) + "…"
}

// wrapped breaks a text between words into at most so many lines.
func wrapped(style topStyle, width, most int, text string) []topLine {
	var all []topLine
	now := ""
	for _, word := range strings.Fields(text) {
		if now != "" && utf8.RuneCountInString(now)+1+utf8.RuneCountInString(word) > width {
			if len(all) == most-1 {
				return append(all, line(style, "%s", clip(now+" "+word+"…", width)))
			}
			all = append(all, line(style, "%s", now))
			now = ""
		}
		now = strings.TrimPrefix(now+" "+word, " ")
	}
	return append(all, line(style, "%s", now))
}

// perSecond is a rate, "–" when it is not known.
func (s topState) perSecond(ref model.ServerRef) (packets, bytes string) {
	rate, ok := s.rates[ref]
	if !ok || !s.lost.IsZero() {
		return "–", "–"
	}
	return short(uint64(rate.packets + 0.5)), size(uint64(rate.bytes + 0.5))
}

// latency is how long the last probe took.
func latency(one model.ServerStatus) string {
	if one.Latency <= 0 || one.LastProbe.IsZero() {
		return "–"
	}
	if one.Latency >= 10*time.Second {
		return ago(one.Latency)
	}
	return millis(one.Latency)
}
