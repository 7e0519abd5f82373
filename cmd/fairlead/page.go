package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"fairlead/internal/model"
)

// pageWidth is that of the smallest terminal people use.
const pageWidth = 80

// The colours, as ANSI sequences; they never carry meaning alone.
const (
	plain  = "\x1b[0m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
)

// page is a text of at most pageWidth columns.
type page struct {
	text   strings.Builder
	colour bool
}

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(&p.text, format, args...)
	p.text.WriteByte('\n')
}

// paint colours a text, on a terminal only.
func (p *page) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return colour + text + plain
}

// wrap writes a text after a label, broken between words, its lines aligned.
func (p *page) wrap(label, text string) {
	room := pageWidth - utf8.RuneCountInString(label)
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			p.line("%s%s", label, line)
			label, line = strings.Repeat(" ", pageWidth-room), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	p.line("%s%s", label, line)
}

// ago is a span of time in at most two units.
func ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// millis is a short span of time.
func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// short is a count of at most six characters: 1234, 56.7k, 8.9M, 1.2G.
func short(n uint64) string {
	const units = "kMGTPE"
	if n < 10000 {
		return fmt.Sprint(n)
	}
	f := float64(n)
	unit := -1
	for f >= 999.95 && unit < len(units)-1 { // what %.1f would round to 1000.0
		f /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f%c", f, units[unit])
}

// size is a number of bytes, in units of 1024.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	unit := -1
	for f >= 1023.95 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

func traffic(c model.Counter) string {
	return fmt.Sprintf("%s packets, %s", short(c.Packets), size(c.Bytes))
}
