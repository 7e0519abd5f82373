package api

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"mime"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"fairlead/internal/model"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// TestDescriptionIsMadeOfTheSources: `go test -run TestDescription -update`
// writes it anew.
func TestDescriptionIsMadeOfTheSources(t *testing.T) {
	want := rendered(t)
	if *update {
		if err := os.WriteFile("openapi.json", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile("openapi.json"); err != nil || string(text) != want {
		t.Errorf("openapi.json is not what the sources say (%v); write it anew with -update", err)
	}
}

// description is the description that is served.
func description(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(openAPI))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDescriptionIsValid(t *testing.T) {
	if err := description(t).Validate(context.Background(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Error(err)
	}
}

// TestDescriptionHasEveryParameter that a route takes after the question mark, and no other.
func TestDescriptionHasEveryParameter(t *testing.T) {
	for pattern, item := range description(t).Paths.Map() {
		for method, o := range item.Operations() {
			var got []string
			for _, p := range o.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					got = append(got, p.Value.Name)
				}
			}
			if want := queries(Route{Method: method, Pattern: pattern}); !equalSets(got, want) {
				t.Errorf("%s %s: described are the parameters %q, taken are %q", method, pattern, got, want)
			}
		}
	}
}

func equalSets(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// TestDescriptionHasEveryRoute, with its role, and no other.
func TestDescriptionHasEveryRoute(t *testing.T) {
	var got, want []string
	for pattern, item := range description(t).Paths.Map() {
		for method, o := range item.Operations() {
			got = append(got, fmt.Sprint(method, " ", pattern, " ", o.Extensions["x-role"]))
			for _, name := range parts(pattern) {
				if o.Parameters.GetByInAndName("path", name) == nil {
					t.Errorf("%s %s: the parameter %s is not described", method, pattern, name)
				}
			}
		}
	}
	for _, r := range append(Routes(), elsewhere...) {
		want = append(want, fmt.Sprint(r.Method, " ", r.Pattern, " ", r.Role))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("described are\n%s\nbut there are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// parts are the names in a pattern.
func parts(pattern string) []string {
	var names []string
	for part := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// TestDescriptionHasEveryField: what encoding/json makes of a type with
// everything set has the described properties, and no other.
func TestDescriptionHasEveryField(t *testing.T) {
	doc := description(t)
	checked := map[string]bool{"Role": true, "Credentials": true, "Session": true}
	for _, value := range []any{&model.Status{}, &Live{}, &DaemonHealth{}, &PoolServer{}, &Probed{}, &Connections{}, &Templates{}, &Explanation{}, &model.ExplainedConnection{}, &model.Tunnel{}, &Forgotten{}, &model.Event{}, &Order{}, &Ordered{},
		&CaptureOrder{}, &Packet{}, &Reloaded{}, &Configuration{}, &Documents{}, &Checked{}, &Difference{}, &AppliedConfiguration{},
		&model.Draft{}, &model.Version{}, &model.Diagnosis{}, &Problem{}} {
		setAll(reflect.ValueOf(value).Elem())
		sameFields(t, doc, reflect.ValueOf(value).Elem(), checked)
	}
	for name := range doc.Components.Schemas {
		if !checked[name] && doc.Components.Schemas[name].Value.Enum == nil {
			t.Errorf("the schema %s is of no type", name)
		}
	}
}

// sameFields holds the schema of a struct, and of the structs in it, to the type.
func sameFields(t *testing.T, doc *openapi3.T, v reflect.Value, checked map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		sameFields(t, doc, v.Elem(), checked)
		return
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			sameFields(t, doc, v.Index(0), checked)
		}
		return
	case reflect.Map:
		sameFields(t, doc, v.MapIndex(v.MapKeys()[0]), checked)
		return
	}
	if v.Kind() != reflect.Struct || !strings.HasPrefix(v.Type().PkgPath(), "fairlead/") || checked[v.Type().Name()] {
		return
	}
	checked[v.Type().Name()] = true
	for i := range v.NumField() {
		sameFields(t, doc, v.Field(i), checked)
	}
	schema := doc.Components.Schemas[v.Type().Name()]
	if schema == nil {
		t.Errorf("%s has no schema", v.Type())
		return
	}
	var described []string
	for name := range schema.Value.Properties {
		described = append(described, name)
	}
	slices.Sort(described)
	if got := keys(decoded(t, encoded(t, v.Interface())).(map[string]any)); !slices.Equal(got, described) {
		t.Errorf("%s has the fields %q, but described are %q", v.Type(), got, described)
	}
}

// setAll gives everything in a value some value that is not the zero one.
func setAll(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("10.0.0.1")))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("10.0.0.0/24")))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("10.0.0.1:1")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			setAll(v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setAll(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		setAll(v.Index(0))
	case reflect.Array:
		v.Index(0).SetUint(1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		setAll(value)
		v.SetMapIndex(reflect.ValueOf("x"), value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	default:
		v.SetUint(1)
	}
}

// described holds an answer to the description of its route.
func described(doc *openapi3.T, got exchange) error {
	o := findOperation(doc, got)
	if o == nil {
		if got.code == 404 || got.code == 405 { // no route: a problem, as everywhere
			return valid(doc.Components.Schemas["Problem"].Value, got.answer)
		}
		return errors.New("there is no such route")
	}
	answer := o.Responses.Status(got.code)
	if answer == nil {
		return errors.New("the code is not described")
	}
	if got.code == 204 {
		return nil
	}
	for name, header := range answer.Value.Headers {
		if header.Value.Required && got.answered.Header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	kind, _, err := mime.ParseMediaType(got.answered.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	media := answer.Value.Content[kind]
	switch {
	case media == nil:
		return fmt.Errorf("the type %s is not described", kind)
	case kind == string(jsonLines):
		for line := range strings.Lines(got.answer) {
			if err := valid(media.Schema.Value, line); err != nil {
				return err
			}
		}
		return nil
	}
	return valid(media.Schema.Value, got.answer)
}

// findOperation finds the operation of a request, by its path's parts.
func findOperation(doc *openapi3.T, got exchange) *openapi3.Operation {
	where, _, _ := strings.Cut(got.path, "?")
	is := strings.Split(where, "/")
	for pattern, item := range doc.Paths.Map() {
		names := strings.Split(pattern, "/")
		if len(names) == len(is) && !slices.ContainsFunc(slices.Collect(zip(names, is)), func(p [2]string) bool {
			return p[0] != p[1] && !strings.HasPrefix(p[0], "{")
		}) && item.GetOperation(got.method) != nil {
			return item.GetOperation(got.method)
		}
	}
	return nil
}

func zip(a, b []string) func(func([2]string) bool) {
	return func(yield func([2]string) bool) {
		for i := range a {
			if !yield([2]string{a[i], b[i]}) {
				return
			}
		}
	}
}

func valid(schema *openapi3.Schema, text string) error {
	if text == "" {
		return nil // to a HEAD
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	return schema.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors())
}

// TestEveryRouteIsAsked: a good answer of each route was held to its description.
// The streams that do not end have tests of their own.
func TestEveryRouteIsAsked(t *testing.T) {
	doc := description(t)
	asked := map[*openapi3.Operation]bool{}
	for _, r := range requests() {
		if r.code < 300 {
			asked[findOperation(doc, exchange{method: r.method, path: "/api/v1" + r.path})] = true
		}
	}
	for _, r := range Routes() {
		streams := r.Pattern == "/api/v1/stream" || r.Pattern == "/api/v1/capture"
		if o := doc.Paths.Find(r.Pattern).GetOperation(r.Method); asked[o] == streams {
			t.Errorf("%s %s: asked: %t", r.Method, r.Pattern, asked[o])
		}
	}
}

// TestStreamsAreAsDescribed holds what is live, and a captured packet.
func TestStreamsAreAsDescribed(t *testing.T) {
	doc := description(t)
	inBubble(t, func(t *testing.T, d *wholeDaemon, c *Client, _ *pipeListener) {
		w := watch(t, c.http)
		if err := valid(doc.Components.Schemas["Live"].Value, string(encoded(t, w.has()))); err != nil {
			t.Error(err)
		}
		go func() { d.frames <- Packet{At: noon, Data: []byte("abc")} }()
		ctx, stop := context.WithCancel(t.Context())
		err := c.Capture(ctx, 9, func(p Packet) error {
			defer stop()
			return valid(doc.Components.Schemas["Packet"].Value, string(encoded(t, p)))
		})
		if err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}
