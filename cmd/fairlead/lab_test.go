package main

import (
	"reflect"
	"strings"
	"testing"

	"fairlead/internal/lab/outcome"
)

// TestLabKnowsEveryFault: the flag takes what the lab can do, and says so.
func TestLabKnowsEveryFault(t *testing.T) {
	field, _ := reflect.TypeFor[labCommand]().FieldByName("Fault")
	var names []string
	for _, f := range outcome.Faults() {
		names = append(names, f.String())
		if !strings.Contains(field.Tag.Get("help"), f.String()) {
			t.Errorf("the help does not name %v", f)
		}
	}
	if got, want := field.Tag.Get("enum"), strings.Join(names, ","); got != want {
		t.Errorf("the flag takes %s, want %s", got, want)
	}
}
