package api

import (
	"encoding"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/netip"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

// An object is a JSON object. encoding/json sorts its members.
type object = map[string]any

// An operation is what the description says of a route beyond what the table of
// routes and the types say themselves.
type operation struct {
	summary, details string
	parameters       []string // names below components/parameters
	body             any      // a value of the type that is sent
	answer           any      // a value of the type that is answered; nil: 204
	media            []string // of the answer, when not application/json
	problems         []Kind   // beside those that any route may answer
}

// operations are the descriptions of all routes, by method and pattern.
var operations = map[string]operation{
	"GET /api/v1/status": {summary: "Everything, as one snapshot", answer: model.Status{}},
	"GET /api/v1/stream": {summary: "What is live, as an event stream", media: []string{"text/event-stream"}, answer: Live{},
		details: "Server-Sent Events. The event `live` has the whole (schema Live); each event `patch` has a merge patch (RFC 7396) against the value before. " +
			"At most two patches are sent a second; a change that is more than a counter is sent at once. A reader that is too slow is ended; when it comes back it gets the whole.",
		problems: []Kind{KindUnavailable}},
	"GET /api/v1/flows":                               {summary: "All flows, in the order of the configuration", answer: []model.FlowStatus{}},
	"GET /api/v1/directors":                           {summary: "All directors", answer: []model.DirectorStatus{}},
	"GET /api/v1/directors/{director}":                {summary: "One director", parameters: []string{"director"}, answer: model.DirectorStatus{}, problems: []Kind{KindNotFound}},
	"GET /api/v1/servers":                             {summary: "All servers, or those of a director", parameters: []string{"byDirector"}, answer: []PoolServer{}, problems: []Kind{KindNotFound}},
	"GET /api/v1/servers/{director}/{server}":         {summary: "One server", parameters: []string{"director", "server"}, answer: PoolServer{}, problems: []Kind{KindNotFound}},
	"GET /api/v1/servers/{director}/{server}/history": {summary: "What the last probes of a server found, the oldest first", parameters: []string{"director", "server"}, answer: []Probed{}, problems: []Kind{KindNotFound}},
	"GET /api/v1/connections":                         {summary: "TCP connections that the connection table knows", parameters: []string{"byDirector", "byServer", "client", "state", "limit"}, answer: Connections{}},
	"GET /api/v1/templates":                           {summary: "What option persistence remembers of clients", parameters: []string{"byDirector", "client", "limit"}, answer: Templates{}},
	"DELETE /api/v1/templates":                        {summary: "Remove the templates of a director, or those of a client only", parameters: []string{"byDirector", "client"}, answer: Forgotten{}, problems: []Kind{KindRefused, KindNotFound}},
	"GET /api/v1/explain": {summary: "What would become of a packet, and why", parameters: []string{"packetFrom", "packetTo", "packetProto", "packetIface", "packetFlags", "packetPayload", "packetType"}, answer: Explanation{},
		details: "The rules and tables in force decide; nothing is sent or changed.", problems: []Kind{KindNotFound}},
	"GET /api/v1/events": {summary: "Entries of the journal, the oldest first", parameters: []string{"since", "follow", "kind", "byDirector", "lastEventID"},
		media: []string{"application/x-ndjson", "text/event-stream"}, answer: model.Event{},
		details: "One JSON object a line; with `Accept: text/event-stream` Server-Sent Events, whose id is the entry's number and which always go on with the entries to come. " +
			"A stream that cannot go on ends with an object that has the one member stream_ended; among Server-Sent Events it is the event `end`."},
	"GET /api/v1/health":                        {summary: "How the daemon itself does", answer: DaemonHealth{}},
	"GET /api/v1/doctor":                        {summary: "What the doctor said last", answer: model.Diagnosis{}, problems: []Kind{KindNotFound}},
	"POST /api/v1/doctor":                       {summary: "Let the doctor look at the whole set-up now", answer: model.Diagnosis{}, details: "It changes nothing, and takes up to 10 seconds. What it finds anew, and what is mended, is entered in the journal."},
	"POST /api/v1/order":                        {summary: "Switch to a server, drain, disable or enable it", body: Order{}, answer: Ordered{}, details: "The answer comes when the order is carried out; a switch may have to wait for hooks.", problems: []Kind{KindNotFound, KindRefused}},
	"POST /api/v1/services/{service}/restart":   {summary: "Bring a part of the daemon up anew, without a packet lost", parameters: []string{"service"}, problems: []Kind{KindNotFound, KindRefused}},
	"POST /api/v1/reload":                       {summary: "Read the configuration's files again", answer: Reloaded{}, details: "An error changes nothing.", problems: []Kind{KindInvalid}},
	"POST /api/v1/capture":                      {summary: "The packets that are forwarded, answered and dropped", body: CaptureOrder{}, answer: Packet{}, media: []string{"application/x-ndjson"}, details: "One JSON object a line, until the client leaves. One capture runs at a time.", problems: []Kind{KindRefused}},
	"GET /api/v1/config":                        {summary: "The configuration's documents and the draft", answer: Configuration{}, details: "The ETag is the hash of the documents. Secrets are left out for everybody but an admin."},
	"POST /api/v1/config/validate":              {summary: "What is wrong with documents", body: Documents{}, answer: Checked{}, details: "Nothing is changed. Documents that are left out stay as they are."},
	"POST /api/v1/config/diff":                  {summary: "What documents would change", body: Documents{}, answer: Difference{}, details: "Nothing is changed."},
	"PUT /api/v1/config":                        {summary: "Write documents and bring them into force, all of it or nothing", parameters: []string{"ifMatch"}, body: Documents{}, answer: AppliedConfiguration{}, problems: []Kind{KindForbidden, KindConflict, KindInvalid, KindUnmatched}},
	"PUT /api/v1/config/draft":                  {summary: "Keep documents that are not to be in force yet", parameters: []string{"ifMatchDraft"}, body: Documents{}, answer: model.Draft{}, problems: []Kind{KindForbidden, KindConflict}},
	"DELETE /api/v1/config/draft":               {summary: "Throw the draft away", parameters: []string{"ifMatchDraft"}, problems: []Kind{KindNotFound, KindConflict}},
	"GET /api/v1/config/versions":               {summary: "Configurations that were in force, the newest first, without their documents", answer: []model.Version{}},
	"GET /api/v1/config/versions/{id}":          {summary: "A configuration that was in force", parameters: []string{"id"}, answer: model.Version{}, problems: []Kind{KindNotFound}},
	"POST /api/v1/config/versions/{id}/restore": {summary: "Bring a version into force again, as a new one", parameters: []string{"id", "ifMatch"}, answer: AppliedConfiguration{}, problems: []Kind{KindNotFound, KindForbidden, KindConflict, KindInvalid, KindUnmatched}},
	"GET /api/v1/openapi.json":                  {summary: "This description", answer: object{}},
	"POST /api/v1/session":                      {summary: "Log in", body: credentials{}, answer: session{}, details: "Sets the session's cookie. Not on the control socket.", problems: []Kind{KindForbidden, KindThrottled, KindUnavailable}},
	"GET /api/v1/session":                       {summary: "Who is logged in", answer: session{}, details: "Not on the control socket."},
	"DELETE /api/v1/session":                    {summary: "Log out", details: "Not on the control socket."},
	"GET /metrics":                              {summary: "Metrics for Prometheus", answer: "", media: []string{"text/plain"}, details: "Not on the control socket."},
}

// elsewhere are the routes that package web serves.
var elsewhere = []Route{
	{"POST", "/api/v1/session", model.RoleNone}, {"GET", "/api/v1/session", model.RoleNone}, {"DELETE", "/api/v1/session", model.RoleNone},
	{"GET", "/metrics", model.RoleViewer},
}

// credentials and session are what package web sends and takes at a login.
type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

type session struct {
	Name string     `json:"name"`
	Role model.Role `json:"role"`
	CSRF string     `json:"csrf,omitempty"` // for the header X-Fairlead-CSRF; absent with a token
}

// A describer makes the description, and collects the schemas that it needs.
type describer struct {
	comments map[string]string // by "package.Type" and "package.Type.Field"
	schemas  object
	types    map[string]reflect.Type // of the schemas
	problems object                  // the answers that are problems, by their kinds
}

// describe makes the whole description of the API.
func describe(t *testing.T) object {
	d := &describer{comments: comments(t, ".", "../model"), schemas: object{}, types: map[string]reflect.Type{}, problems: object{}}
	paths := object{}
	for _, r := range append(Routes(), elsewhere...) {
		if paths[r.Pattern] == nil {
			paths[r.Pattern] = object{}
		}
		paths[r.Pattern].(object)[strings.ToLower(r.Method)] = d.operation(t, r)
	}
	for _, inside := range []any{Live{}, Problem{}} {
		d.schema(reflect.TypeOf(inside))
	}
	var types []string
	for _, k := range Kinds() {
		types = append(types, k.Type())
	}
	d.schemas["Problem"].(object)["properties"].(object)["type"].(object)["enum"] = types
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "Fairlead", "version": "1",
			"description": "What the web pages and the command line use. The same routes are served on the control socket, without a login.",
			"license":     object{"name": "see the file LICENSE"}},
		"servers":  []any{object{"url": "/"}},
		"security": []any{object{"session": []any{}}, object{"token": []any{}}},
		"paths":    paths,
		"components": object{
			"securitySchemes": object{
				"session": object{"type": "apiKey", "in": "cookie", "name": "fairlead", "description": "Set by POST /api/v1/session; with TLS its name is __Host-fairlead."},
				"token":   object{"type": "http", "scheme": "bearer", "description": "A token made by fairlead token add."},
			},
			"parameters": parameters(),
			"schemas":    d.schemas,
			"responses":  d.problems,
		},
	}
}

func (d *describer) operation(t *testing.T, r Route) object {
	o, ok := operations[r.Method+" "+r.Pattern]
	if !ok {
		t.Fatalf("%s %s is not described", r.Method, r.Pattern)
	}
	made := object{"summary": o.summary, "operationId": operationID(r), "x-role": r.Role.String()}
	if o.details != "" {
		made["description"] = o.details
	}
	names := o.parameters
	if r.Method != "GET" && r.Pattern != "/api/v1/session" || r.Method == "DELETE" {
		names = append(slices.Clone(names), "csrf")
	}
	var list []any
	for _, name := range names {
		list = append(list, object{"$ref": "#/components/parameters/" + name})
	}
	if list != nil {
		made["parameters"] = list
	}
	if o.body != nil {
		made["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": d.schema(reflect.TypeOf(o.body))}}}
	}
	if r.Pattern == "/api/v1/session" && r.Method == "POST" {
		made["security"] = []any{}
	}
	made["responses"] = d.responses(o, r)
	return made
}

func (d *describer) responses(o operation, r Route) object {
	answers := object{"204": object{"description": "It was done."}}
	if o.answer != nil {
		content := object{}
		for _, media := range append(o.media, "application/json")[:max(len(o.media), 1)] {
			content[media] = object{"schema": d.schema(reflect.TypeOf(o.answer))}
			if media == "text/event-stream" {
				content[media] = object{"schema": object{"type": "string"}}
			}
		}
		answers = object{"200": object{"description": "Done.", "content": content}}
	}
	if r.Pattern == "/api/v1/config" && r.Method == "GET" {
		answers["200"].(object)["headers"] = object{"ETag": object{"required": true, "schema": object{"type": "string"}, "description": "The hash, in double quotes: for If-Match."}}
	}
	names := map[string]string{}
	for _, k := range append([]Kind{KindMalformed, KindLogin, KindRole, KindSlow, KindTooLarge, KindFailed}, o.problems...) {
		code := strconv.Itoa(k.Status())
		names[code] = strings.TrimPrefix(names[code]+"."+path.Base(k.Type()), ".")
		if text := fmt.Sprintf("%s (%s).", k.Title(), k.Type()); d.problems[names[code]] == nil {
			if before, ok := d.problems[strings.TrimSuffix(names[code], "."+path.Base(k.Type()))].(object); ok {
				text = before["description"].(string) + " " + text
			}
			d.problems[names[code]] = object{"description": text,
				"content": object{"application/problem+json": object{"schema": d.schema(reflect.TypeFor[Problem]())}}}
		}
	}
	for code, name := range names {
		answers[code] = object{"$ref": "#/components/responses/" + name}
	}
	return answers
}

// operationID is a name that a programme can use for a route.
func operationID(r Route) string {
	id := strings.ToLower(r.Method)
	for _, part := range strings.FieldsFunc(r.Pattern, func(c rune) bool { return strings.ContainsRune("/{}.", c) }) {
		if part != "api" && part != "v1" {
			id += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return id
}

func parameters() object {
	text := object{"type": "string"}
	parameter := func(name, in, description string, schema object) object {
		return object{"name": name, "in": in, "required": in == "path", "description": description, "schema": schema}
	}
	kinds := []string{}
	for _, k := range model.EventKinds() {
		kinds = append(kinds, k.String())
	}
	ifMatch := parameter("If-Match", "header", "The hash of the configuration that was edited, in double quotes.", text)
	ifMatch["required"] = true
	many := parameter("kind", "query", "Entries of these kinds only. May be repeated.", object{"type": "array", "items": object{"type": "string", "enum": kinds}})
	many["style"], many["explode"] = "form", true
	return object{
		"director":      parameter("director", "path", "The name of a director.", text),
		"server":        parameter("server", "path", "The name of a server of the director.", text),
		"service":       parameter("service", "path", "The name of a part of the daemon.", text),
		"id":            parameter("id", "path", "The number of a version.", object{"type": "integer", "minimum": 0}),
		"byDirector":    parameter("director", "query", "Of this director only.", text),
		"byServer":      parameter("server", "query", "Of this server only.", text),
		"client":        parameter("client", "query", "Of clients of this address or network only.", text),
		"state":         parameter("state", "query", "In this state only.", object{"type": "string", "enum": []string{"open", "ended", "old"}}),
		"limit":         parameter("limit", "query", "How many are listed at most.", object{"type": "integer", "minimum": 1, "maximum": mostConnections, "default": DefaultConnections}),
		"packetFrom":    parameter("from", "query", "The client: an IPv4 address, with a port or without.", text),
		"packetTo":      parameter("to", "query", "The destination: an IPv4 address, with a port unless it is ICMP.", text),
		"packetProto":   parameter("proto", "query", "The protocol.", object{"type": "string", "enum": []string{"tcp", "udp", "icmp"}, "default": "tcp"}),
		"packetIface":   parameter("iface", "query", "Where it arrives. Without it: where somebody claims it.", text),
		"packetFlags":   parameter("flags", "query", "Of TCP: some of SYN, ACK, FIN, RST with commas between.", object{"type": "string", "default": "SYN"}),
		"packetPayload": parameter("payload", "query", "Bytes after the headers.", object{"type": "integer", "minimum": 0, "maximum": mostPayload}),
		"packetType":    parameter("icmptype", "query", "Of ICMP.", object{"type": "integer", "minimum": 0, "maximum": 255}),
		"since":         parameter("since", "query", "Where to begin: after the entry of that number, at an instant (RFC 3339), or a span of time before now, such as 90m.", text),
		"follow":        parameter("follow", "query", "1: go on with the entries to come.", object{"type": "string", "enum": []string{"0", "1"}}),
		"kind":          many,
		"lastEventID": parameter("Last-Event-ID", "header", "Of Server-Sent Events: begin after the entry of that number.",
			object{"type": "integer", "minimum": 0}),
		"ifMatch":      ifMatch,
		"ifMatchDraft": parameter("If-Match", "header", "The hash of the draft that is replaced, in double quotes; * or nothing when there is none yet.", text),
		"csrf":         parameter("X-Fairlead-CSRF", "header", "The session's csrf. Needed with the session's cookie; not with a token, nor on the control socket.", text),
	}
}

// schema describes a type. Structs and enums get a name below components.
func (d *describer) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return object{"type": "integer", "format": "int64", "description": "nanoseconds"}
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[model.MAC]():
		return object{"type": "string"}
	case reflect.TypeFor[[]byte]():
		return object{"type": "string", "contentEncoding": "base64"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Struct:
		return d.named(t, d.structure)
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return d.named(t, enumeration)
	}
	made := object{"type": "integer"}
	if strings.HasPrefix(t.Kind().String(), "uint") {
		made["minimum"] = 0
	}
	return made
}

func (d *describer) named(t reflect.Type, describe func(reflect.Type) object) object {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if d.schemas[name] == nil {
		d.schemas[name], d.types[name] = object{}, t // a type may hold itself
		made := describe(t)
		if text := d.comments[path.Base(t.PkgPath())+"."+t.Name()]; text != "" {
			made["description"] = text
		}
		d.schemas[name] = made
	}
	if d.types[name] != t {
		panic(fmt.Sprintf("%s and %s would have one name", t, d.types[name]))
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func enumeration(t reflect.Type) object {
	var names []string
	for i := range uint64(256) {
		v := reflect.New(t).Elem()
		v.SetUint(i)
		name := v.Interface().(fmt.Stringer).String()
		if strings.Contains(name, "(") {
			break
		}
		names = append(names, name)
	}
	return object{"type": "string", "enum": names}
}

func (d *describer) structure(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "-" {
			continue
		}
		made := d.schema(f.Type)
		owner := t
		if len(f.Index) > 1 {
			owner = t.FieldByIndex(f.Index[:len(f.Index)-1]).Type
		}
		if text := d.comments[path.Base(owner.PkgPath())+"."+owner.Name()+"."+f.Name]; text != "" {
			made["description"] = text
		}
		properties[name] = made
		if options == "" {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	made := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		made["required"] = required
	}
	return made
}

var spaces = regexp.MustCompile(`\s+`)

// comments reads what the sources say of their types and fields.
func comments(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, folder := range folders {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil || files == nil {
			t.Fatalf("no sources in %s: %v", folder, err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			noteComments(found, file)
		}
	}
	return found
}

func noteComments(found map[string]string, file *ast.File) {
	for _, declared := range file.Decls {
		g, ok := declared.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, spec := range g.Specs {
			s := spec.(*ast.TypeSpec)
			structure, ok := s.Type.(*ast.StructType)
			if !ok {
				continue
			}
			key := file.Name.Name + "." + s.Name.Name
			found[key] = spaces.ReplaceAllString(strings.TrimSpace(g.Doc.Text()), " ")
			for _, f := range structure.Fields.List {
				for _, name := range f.Names {
					text := f.Doc.Text() + f.Comment.Text()
					found[key+"."+name.Name] = spaces.ReplaceAllString(strings.TrimSpace(text), " ")
				}
			}
		}
	}
}

// rendered is the description as it is checked in.
func rendered(t *testing.T) string {
	t.Helper()
	text, err := json.MarshalIndent(describe(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// keys are the sorted names of an object.
func keys(o object) []string { return slices.Sorted(maps.Keys(o)) }
