package journal

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"fairlead/internal/model"
)

const (
	textMost = 8 << 10 // bytes of a text of an entry
	lineMost = 1 << 20 // bytes; a longer line is none of ours
)

// seqKey begins a line: the number is found without reading the rest.
const seqKey = `{"seq":`

// shorten cuts a text that would make a line too long.
func shorten(text string) string {
	if len(text) <= textMost {
		return text
	}
	return strings.ToValidUTF8(text[:textMost], "") + " […]"
}

// encode gives the line of an entry, with its end.
func encode(e model.Event) []byte {
	line, err := json.Marshal(e)
	if err != nil { // an instant that JSON has no form for
		bare := model.Event{Seq: e.Seq, Mono: e.Mono, Text: e.Text, Err: "the rest of this entry cannot be written: " + err.Error()}
		line, _ = json.Marshal(bare) // texts and numbers only: it cannot fail
	}
	return append(line, '\n')
}

// seqOf reads the number of a line, which may be torn behind it.
func seqOf(line []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(line, []byte(seqKey))
	digits, _, whole := bytes.Cut(rest, []byte(","))
	if !ok || !whole {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return seq, err == nil
}
