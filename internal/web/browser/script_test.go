package browser

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// blank is a page of a site that no module was loaded for but those of the login.
func blank(t *testing.T) *tab {
	p := open(t, newSite(t, noteDaemon(time.Now())), model.RoleNone, "/login", desk)
	p.await("the page", `document.querySelector('input')`)
	return p
}

// TestMerge holds the page's merge patches to the examples of RFC 7396, appendix A.
func TestMerge(t *testing.T) {
	t.Parallel()
	p := blank(t)
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		got := eval[string](p, fmt.Sprintf(`import('/static/js/live.js').then(({merge}) => JSON.stringify(merge(%s, %s)))`, c[0], c[1]))
		var have, want any
		if err := json.Unmarshal([]byte(got), &have); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c[2]), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s with the patch %s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if !eval[bool](p, `import('/static/js/live.js').then(({merge}) => { const a = {x: {n: 1}, y: {n: 2}}, b = merge(a, {x: {n: 3}}); return a.x.n === 1 && b.y === a.y; })`) {
		t.Error("a patch changes the value before it, or copies what it does not name")
	}
}

// TestStreamInPieces: events are read alike, wherever the network parts them.
func TestStreamInPieces(t *testing.T) {
	t.Parallel()
	text := ": a comment\n\nid: 7\nevent: patch\ndata: {\"a\":\ndata: 1}\n\ndata:x\n\nretry: 1000\n\n"
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	got := eval[[]string](blank(t), fmt.Sprintf(`import('/static/js/sse.js').then(({parser}) => {
		const text = %s, all = [];
		for (let size = 1; size <= text.length; size++) {
			const some = [], parse = parser((e) => some.push([e.event, e.id, e.data].join('|')));
			for (let i = 0; i < text.length; i += size) parse(text.slice(i, i + size));
			all.push(some.join(' / '));
		}
		return [...new Set(all)];
	})`, quoted))
	if want := "patch|7|{\"a\":\n1} / message||x"; len(got) != 1 || got[0] != want {
		t.Errorf("read %q, want %q for each size of the pieces", got, want)
	}
}

// TestFigures: figures are short and have their units.
func TestFigures(t *testing.T) {
	t.Parallel()
	p := blank(t)
	for _, c := range [][2]string{
		{`count(1234567)`, "1 234 567"}, {`count(0)`, "0"}, {`count(null)`, "–"},
		{`packets(19234)`, "19.2k pkt/s"}, {`packets(null)`, "– pkt/s"}, {`packets(0)`, "0 pkt/s"}, {`packets(999.7)`, "1.00k pkt/s"},
		{`bits(19e6)`, "152 Mbit/s"}, {`bits(12)`, "96 bit/s"}, {`bytes(58 * 2 ** 20)`, "60.8 MB"},
		{`span(340e3)`, "340 µs"}, {`span(1.24e6)`, "1.24 ms"}, {`span(3.1e9)`, "3.1 s"}, {`span(7500e9)`, "2 h 5 min"},
		{`millis(420e3)`, "0.42 ms"}, {`millis(3120e6)`, "3 120 ms"}, {`age(59)`, "59 s"}, {`age(60)`, "1 min"}, {`age(180000)`, "2 d 2 h"},
		{`String(instant('0001-01-01T00:00:00Z'))`, "null"}, {`String(instant(''))`, "null"},
	} {
		got := eval[string](p, fmt.Sprintf(`import('/static/js/format.js').then(({count, packets, bits, bytes, span, millis, age, instant}) => %s)`, c[0]))
		if got = strings.ReplaceAll(got, "\u202f", " "); got != c[1] {
			t.Errorf("%s is %q, want %q", c[0], got, c[1])
		}
	}
}
