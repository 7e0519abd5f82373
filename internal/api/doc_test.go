package api

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReferenceHasEveryRoute with its role, and no other.
func TestReferenceHasEveryRoute(t *testing.T) {
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| ([A-Z]+) \\| `(\\S+)` \\| (\\w+) \\| .+ \\|$").FindAllStringSubmatch(reference(t), -1) {
		got = append(got, strings.Join(row[1:], " "))
	}
	for _, r := range Routes() {
		want = append(want, fmt.Sprint(r.Method, " ", r.Pattern, " ", r.Role))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the reference has\n%s\nbut there are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReferenceHasEveryProblem with its status, and no other.
func TestReferenceHasEveryProblem(t *testing.T) {
	var got, want []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(/problems/\\S+)` \\| (\\d+) \\|").FindAllStringSubmatch(reference(t), -1) {
		got = append(got, strings.Join(row[1:], " "))
	}
	for _, k := range Kinds() {
		want = append(want, fmt.Sprint(k.Type(), " ", k.Status()))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the reference has\n%s\nbut there are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReferenceTellsTheLimits that hold.
func TestReferenceTellsTheLimits(t *testing.T) {
	text := strings.Join(strings.Fields(reference(t)), " ")
	for _, want := range []string{
		fmt.Sprintf("may be %d KiB large and take %.0f seconds", small.bytes>>10, small.time.Seconds()),
		fmt.Sprintf("with documents, %d MiB and %.0f seconds", large.bytes>>20, large.time.Seconds()),
		fmt.Sprintf("for %.0f seconds is left", writeTime.Seconds()),
		fmt.Sprintf("At most %d,000 connections are listed (%d if", mostConnections/1000, DefaultConnections),
		fmt.Sprintf("and %d streams of what is live", maxViewers),
		fmt.Sprintf("comes every %.0f seconds", commentEvery.Seconds()),
		DefaultSocket,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the reference lacks %q", want)
		}
	}
}
