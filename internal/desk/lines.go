package desk

import (
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"fairlead/internal/api"
)

// compareLines is the whole of two texts, line by line.
func compareLines(old, after string) ([]api.DiffLine, error) {
	everything := strings.Count(old, "\n") + strings.Count(after, "\n") + 2 // of context
	diff, err := udiff.ToUnifiedDiff("", "", old, udiff.Lines(old, after), everything)
	if err != nil {
		return nil, err
	}
	lines := []api.DiffLine{}
	before, now := 0, 0
	for _, h := range diff.Hunks {
		for _, l := range h.Lines {
			line := api.DiffLine{Op: " ", Text: strings.TrimRight(l.Content, "\r\n")}
			if l.Kind != udiff.Insert {
				before++
				line.Old = before
			}
			if l.Kind != udiff.Delete {
				now++
				line.New = now
			}
			switch l.Kind {
			case udiff.Insert:
				line.Op = "+"
			case udiff.Delete:
				line.Op = "-"
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}
