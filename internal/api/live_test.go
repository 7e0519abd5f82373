package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairlead/internal/model"
)

// merge applies a merge patch as RFC 7396, section 2, has it: written from the
// text, knowing nothing of how patches are made here.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	object = maps.Clone(object)
	for name, value := range changes {
		if value == nil {
			delete(object, name)
		} else {
			object[name] = merge(object[name], value)
		}
	}
	return object
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// randomly sets everything in a value, mostly to one of few values.
func randomly(r *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf([]time.Time{{}, noon, noon.Add(time.Second)}[r.IntN(3)]))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf([]netip.Addr{{}, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}[r.IntN(3)]))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			randomly(r, v.Field(i))
		}
	case reflect.Pointer:
		v.SetZero()
		if r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomly(r, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			randomly(r, v.Index(i))
		}
	case reflect.Array:
		v.Index(0).SetUint(r.Uint64N(2))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(4) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			randomly(r, key)
			randomly(r, value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString([]string{"", "a", "b", `"<ü`}[r.IntN(4)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64N(3))
	default:
		v.SetUint(r.Uint64N(2))
	}
}

// TestPatchesLeadToTheNextStatus: whatever changes, the patch makes the next
// whole of the last one.
func TestPatchesLeadToTheNextStatus(t *testing.T) {
	var p patcher
	for seed := range uint64(800) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := newWholeDaemon()
		h := &handler{daemon: d}
		look := func() *Live {
			randomly(r, reflect.ValueOf(&d.status).Elem())
			return newLive(h.look())
		}
		before, after := look(), look()
		patch, err := p.difference(before, after)
		if err != nil {
			t.Fatal(err)
		}
		got, want := merge(decoded(t, encoded(t, before)), decoded(t, patch)), decoded(t, encoded(t, after))
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %s\nand %s\ngives %v\nwant %s", seed, encoded(t, before), patch, got, encoded(t, after))
		}
		if same, err := p.difference(after, newLive(h.look())); err != nil || string(same) != "{}" {
			t.Fatalf("seed %d: nothing changed, but got %s, %v", seed, same, err)
		}
	}
}

// TestPatchesAreSmall: a patch has what changed, and nothing else.
func TestPatchesAreSmall(t *testing.T) {
	for _, tt := range []struct {
		what   string
		change func(*model.Status)
		want   string
	}{
		{"nothing", func(*model.Status) {}, `{}`},
		{"a counter", func(s *model.Status) { s.Flows[0].Total.Packets = 11 }, `{"flows":{"nfs":{"total":{"packets":11}}}}`},
		{"a verdict", func(s *model.Status) { s.Flows[0].Verdicts = map[string]model.Counter{"reset": {Packets: 1}} },
			`{"flows":{"nfs":{"verdicts":{"forward":null,"reset":{"packets":1,"bytes":0}}}}}`},
		{"a VIP", func(s *model.Status) { s.Flows[0].VIPs = []model.VIPStatus{} }, `{"flows":{"nfs":{"vips":[]}}}`},
		{"a server", func(s *model.Status) { s.Directors[0].Servers[0].Health = model.HealthDown },
			`{"directors":{"nfs":{"servers":{"nfs-01":{"health":"down"}}}}}`},
		{"the order", func(s *model.Status) { d := &s.Directors[0]; d.Servers[0], d.Servers[1] = d.Servers[1], d.Servers[0] },
			`{"directors":{"nfs":{"servers":{"nfs-01":{"order":1},"nfs-02":{"order":0}}}}}`},
		{"no switch", func(s *model.Status) { s.Directors[0].LastSwitch = nil }, `{"directors":{"nfs":{"last_switch":null}}}`},
		{"no director", func(s *model.Status) { s.Directors = nil }, `{"directors":{"nfs":null}}`},
		{"no flow", func(s *model.Status) { s.Flows = nil }, `{"flows":{"nfs":null}}`},
		{"no heartbeat", func(s *model.Status) { s.Turned = time.Time{} }, `{"heartbeat":null}`},
		{"no alarm", func(s *model.Status) { s.Alarms = nil }, `{"alarms":[]}`},
	} {
		d := newWholeDaemon()
		h := &handler{daemon: d}
		before := newLive(h.look())
		d.status = someStatus()
		tt.change(&d.status)
		var p patcher
		got, err := p.difference(before, newLive(h.look()))
		if err != nil || !reflect.DeepEqual(decoded(t, got), decoded(t, []byte(tt.want))) {
			t.Errorf("%s: got %s, %v, want %s", tt.what, got, err, tt.want)
		}
	}
}

// TestSameFlow: the short comparison overlooks no field.
func TestSameFlow(t *testing.T) {
	kind := reflect.TypeFor[model.FlowStatus]()
	for i := range kind.NumField() {
		a, b := someStatus().Flows[0], someStatus().Flows[0]
		if !sameFlow(&a, &b) {
			t.Fatal("the same flow twice is not the same")
		}
		reflect.ValueOf(&b).Elem().Field(i).SetZero()
		if sameFlow(&a, &b) {
			t.Errorf("a flow without %s is the same", kind.Field(i).Name)
		}
	}
}

// TestLiveHasTheWholeStatus: no field of the status is forgotten.
func TestLiveHasTheWholeStatus(t *testing.T) {
	status, live := decoded(t, encoded(t, someStatus())).(map[string]any), decoded(t, encoded(t, newLive(someStatus()))).(map[string]any)
	for name, value := range status {
		switch list, got := value.([]any); {
		case !got, name == "sources", name == "alarms":
			if !reflect.DeepEqual(live[name], value) {
				t.Errorf("%s: got %v, want %v", name, live[name], value)
			}
		case len(live[name].(map[string]any)) != len(list):
			t.Errorf("%s: got %v, want %v", name, live[name], value)
		}
	}
	kind := reflect.TypeFor[model.Status]()
	for i := range kind.NumField() {
		tag := kind.Field(i).Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		var p patcher
		p.fields = map[reflect.Type][]field{}
		found := false
		for _, f := range p.fieldsOf(reflect.TypeFor[Live]()) {
			found = found || f.key == quoted(name)
		}
		if !found {
			t.Errorf("Live lacks %s", name)
		}
	}
}

// A watcher reads the stream of what is live.
type watcher struct {
	start time.Time
	body  io.Closer
	ended chan error

	mu     sync.Mutex // guards the following
	live   any
	events []string // "live", "patch", "comment", each with when it came
}

// watch opens a stream, and reads it in the background until it ends.
func watch(t *testing.T, c *http.Client) *watcher {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://fairlead/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answered, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if kind := answered.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("got the type %s", kind)
	}
	w := &watcher{start: time.Now(), body: answered.Body, ended: make(chan error, 1)}
	go func() { w.ended <- w.read(answered.Body) }()
	synctest.Wait()
	return w
}

func (w *watcher) read(body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 64<<20)
	event := ""
	for lines.Scan() {
		if err := w.take(lines.Text(), &event); err != nil {
			return err
		}
	}
	return lines.Err()
}

// take takes a line of the stream. event is the name of the one that it is of.
func (w *watcher) take(line string, event *string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	name, value, _ := strings.Cut(line, ": ")
	switch {
	case name == ":":
		w.events = append(w.events, fmt.Sprint("comment ", time.Since(w.start)))
	case name == "event":
		*event = value
		w.events = append(w.events, fmt.Sprint(value, " ", time.Since(w.start)))
	case name == "data":
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return err
		}
		if *event == "patch" {
			v = merge(w.live, v)
		}
		w.live = v
	}
	return nil
}

// has is what the stream has led to.
func (w *watcher) has() any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.live
}

func (w *watcher) times(event string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []time.Duration
	for _, e := range w.events {
		if text, ok := strings.CutPrefix(e, event+" "); ok {
			d, err := time.ParseDuration(text)
			if err != nil {
				panic(err)
			}
			all = append(all, d)
		}
	}
	return all
}

// inBubble serves a daemon in memory, with time that a test owns.
func inBubble(t *testing.T, test func(t *testing.T, d *wholeDaemon, c *Client, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		d, l := newWholeDaemon(), newPipeListener()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- New(l, quiet).Run(ctx, d) }()
		test(t, d, pipeClient(l), l)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestStreamFollowsTheStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, d *wholeDaemon, c *Client, _ *pipeListener) {
		one, two := watch(t, c.http), watch(t, c.http)
		for i := range 40 {
			d.set(i%7 == 0, func(s *model.Status) {
				s.Flows = []model.FlowStatus{{Name: fmt.Sprint("flow-", i%3), Total: model.Counter{Packets: uint64(i)}}}
				s.Alarms = s.Alarms[:i%2]
			})
			time.Sleep(300 * time.Millisecond) // in the bubble
		}
		three := watch(t, c.http)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		h := &handler{daemon: d}
		want := decoded(t, encoded(t, newLive(h.look())))
		for i, w := range []*watcher{one, two, three} {
			if !reflect.DeepEqual(w.has(), want) {
				t.Errorf("viewer %d has %v, want %v", i, w.has(), want)
			}
			if n := len(w.times("live")); n != 1 {
				t.Errorf("viewer %d got %d wholes", i, n)
			}
		}
	})
}

// TestStreamIsPrompt: a change is told within 100 ms, counters once a second, and
// never more than two patches a second.
func TestStreamIsPrompt(t *testing.T) {
	inBubble(t, func(t *testing.T, d *wholeDaemon, c *Client, _ *pipeListener) {
		w := watch(t, c.http)
		time.Sleep(300 * time.Millisecond)
		d.set(true, func(s *model.Status) { s.Generation++ })
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if first := w.times("patch"); len(first) != 1 {
			t.Errorf("a change right after the beginning was told at %v", first)
		}
		time.Sleep(10*time.Second + liveEvery/2)
		if n := len(w.times("patch")); n < 10 || n > 11 {
			t.Errorf("in 10 quiet seconds: %d patches", n)
		}
		if n := len(w.times("comment")); n != 0 {
			t.Errorf("in 10 quiet seconds: %d comments", n)
		}
		changed := time.Since(w.start)
		d.set(true, func(s *model.Status) { s.Alarms = nil })
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		patches := w.times("patch")
		if took := patches[len(patches)-1] - changed; took < 0 || took > 100*time.Millisecond {
			t.Errorf("a change was told after %v", took)
		}
		for range 100 {
			d.set(true, func(s *model.Status) { s.Generation++ })
			time.Sleep(33 * time.Millisecond)
		}
		synctest.Wait()
		patches = w.times("patch")
		for i := 2; i < len(patches); i++ {
			if d := patches[i] - patches[i-2]; d < window {
				t.Errorf("three patches within %v, the last at %v", d, patches[i])
			}
		}
		if n := len(w.times("comment")); n != 0 {
			t.Errorf("%d comments", n)
		}
		time.Sleep(commentEvery)
		synctest.Wait()
		if n := len(w.times("comment")); n != 1 {
			t.Errorf("%d comments in %v", n, time.Since(w.start))
		}
	})
}

// TestNothingIsComposedForNobody: the work begins with the first viewer, ends
// with the last, and is the same for one and for ten.
func TestNothingIsComposedForNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, d *wholeDaemon, c *Client, _ *pipeListener) {
		looked := func(seconds int) int {
			d.mu.Lock()
			before := d.looked
			d.mu.Unlock()
			time.Sleep(time.Duration(seconds) * time.Second)
			synctest.Wait()
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.looked - before
		}
		if n := looked(10); n != 0 {
			t.Errorf("for nobody: %d", n)
		}
		var all []*watcher
		for range 10 {
			all = append(all, watch(t, c.http))
		}
		if n := looked(10); n < 9 || n > 10 {
			t.Errorf("for ten viewers: %d in 10 s", n)
		}
		for _, w := range all {
			_ = w.body.Close()
			<-w.ended
		}
		looked(1)
		if n := looked(10); n != 0 {
			t.Errorf("after the last viewer: %d", n)
		}
		again := watch(t, c.http)
		if n := looked(5); n < 4 || again.has() == nil {
			t.Errorf("for one who comes later: %d", n)
		}
	})
}

// TestSlowViewerIsEnded: who reads nothing holds nobody up, and is left.
func TestSlowViewerIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, d *wholeDaemon, c *Client, l *pipeListener) {
		conn := l.dial()
		if _, err := io.WriteString(conn, "GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		w := watch(t, c.http)
		time.Sleep((queue + 12) * time.Second)
		synctest.Wait()
		if n := len(w.times("patch")); n < queue+10 {
			t.Errorf("who reads got %d patches", n)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("who reads nothing: got %v", err)
		}
		_ = conn.Close()
	})
}

// TestHubEndsWhoIsBehind: a full queue ends its viewer, and no other.
func TestHubEndsWhoIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newWholeDaemon()
		h := newHub(d.Status, d.Changed)
		slow, _, err := h.join()
		if err != nil {
			t.Fatal(err)
		}
		quick, _, err := h.join()
		if err != nil {
			t.Fatal(err)
		}
		for range queue + 1 {
			time.Sleep(liveEvery + gather)
			<-quick.frames
		}
		synctest.Wait() // the quick one may have its frame before the slow one's turn
		for range queue {
			<-slow.frames
		}
		if frame, open := <-slow.frames; open {
			t.Errorf("the slow one got %s", frame)
		}
		h.leave(slow)
		h.leave(quick)
		if h.stop != nil || h.now != nil {
			t.Error("it goes on for nobody")
		}
	})
}

func TestTooManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newWholeDaemon()
		h := newHub(d.Status, d.Changed)
		var all []*viewer
		for range maxViewers {
			v, _, err := h.join()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
		if _, _, err := h.join(); err == nil {
			t.Error("one more was let in")
		}
		for _, v := range all {
			h.leave(v)
		}
	})
}

// TestPatchOfOtherTypes: a pointer that may be nil, and a type with a form of its
// own, are patched as encoding/json writes them.
func TestPatchOfOtherTypes(t *testing.T) {
	type box struct {
		Pointer *model.Counter  `json:"pointer"`
		Form    reversed        `json:"form"`
		Map     map[string]bool `json:"map,omitempty"`
	}
	one := &model.Counter{Packets: 1}
	for _, tt := range []struct {
		before, after box
		want          string
	}{
		{box{}, box{Pointer: one}, `{"pointer":{"packets":1,"bytes":0}}`},
		{box{Pointer: one}, box{}, `{"pointer":null}`},
		{box{Pointer: one}, box{Pointer: &model.Counter{Packets: 1}}, ``},
		{box{}, box{Form: reversed{"ab"}}, `{"form":"ba"}`},
		{box{}, box{Map: map[string]bool{"x": true}}, `{"map":{"x":true}}`},
		{box{Map: map[string]bool{"x": true}}, box{Map: map[string]bool{}}, `{"map":null}`},
	} {
		p := patcher{fields: map[reflect.Type][]field{}, opaque: map[reflect.Type]bool{}}
		changed := p.diff(reflect.ValueOf(tt.before), reflect.ValueOf(tt.after))
		if string(p.text) != tt.want || changed != (tt.want != "") || p.err != nil {
			t.Errorf("%+v to %+v: got %s, %v, want %s", tt.before, tt.after, p.text, p.err, tt.want)
		}
	}
}

// reversed writes itself from behind.
type reversed struct{ Text string }

func (r reversed) MarshalJSON() ([]byte, error) {
	var text string
	for _, c := range r.Text {
		text = string(c) + text
	}
	return json.Marshal(text)
}

// TestLatePatchIsDropped: what was composed for those who left is not sent to
// those who came since.
func TestLatePatchIsDropped(t *testing.T) {
	d := newWholeDaemon()
	h := newHub(d.Status, d.Changed)
	gone, before, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	h.leave(gone)
	v, now, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	defer h.leave(v)
	if h.send(before, newPicture(d.Status()), []byte("late"), nil) || len(v.frames) != 0 || h.now != now {
		t.Error("the late patch was sent")
	}
	if h.send(now, newPicture(d.Status()), nil, errors.New("it cannot be written")); len(h.viewers) != 0 {
		t.Error("after an error the viewers are not told to come again")
	}
}
