package main

import (
	"strings"
	"testing"
)

// TestTable: what is shown is above the first way, and the better one of two runs.
func TestTable(t *testing.T) {
	found := make([]measured, len(ways))
	for i := range found {
		base := float64(1000 * (i + 1))
		found[i] = measured{"tcp": {base + 10, base}, "udp": {base + 500, base + 505}}
	}
	text := table("6.1.0", found)
	for _, want := range []string{
		"Linux 6.1.0, instructions for each packet above XDP_DROP; 1000 connections, 20000 packets.",
		"| XDP_TX | 1000 | 1000 | 0.50 % |",
		"| IPVS, firewall mark and persistence | 6000 | 6000 | 0.14 % |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "| XDP_DROP |") {
		t.Error("the floor has a row of its own")
	}
}
