package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"fairlead/internal/model"
)

func configOf(t *testing.T, text string) model.Config {
	t.Helper()
	cfg, found := Load([]Source{{"t.cfg", []byte(text)}})
	if Failed(found) {
		t.Fatal(found)
	}
	return cfg
}

func TestEffects(t *testing.T) {
	old := configOf(t, guardedText)
	for _, tt := range []struct{ from, to, want string }{
		{"", "", ""},
		{"interval 10", "interval 2", "director nfs: the interval of its check changes from 10s to 2s"},
		{"option tcpcheck", "option tcpcheck\noption httpcheck port 80 statuscode 204",
			"director nfs: its servers are checked by tcpcheck and httpcheck uri / statuscode 204 port 80 instead of tcpcheck"},
		{"server nfs-02", "server nfs-03 192.168.10.102:2049 sorry\nserver nfs-02", "director nfs: server nfs-03 (192.168.10.102) is added"},
		{"server nfs-02 192.168.10.101:2049 sorry\n", "", "director nfs: server nfs-02 is removed; its connections are reset"},
		{"192.168.10.101", "192.168.10.109", "director nfs: server nfs-02: its address changes from 192.168.10.101 to 192.168.10.109"},
		{"2049 check", "2049 weight 5 check", "director nfs: server nfs-01: its weight changes from 1 to 5"},
		{"dst 192.168.10.50", "dst 192.168.10.51", "flow nfs: its rules change: 1 instead of 1, for packets to 192.168.10.51"},
		{"flow nfs director nfs\n", "flow a director nfs\n", "flow nfs is removed: packets to 192.168.10.50 are no longer its own"},
		{"hook promote /etc/fairlead/hooks/promote\n", "", "director nfs: its promote hook changes from /etc/fairlead/hooks/promote to none"},
		{"T0KEN", "OTHER", "webhook https://chat.example.com/*** is no longer notified as before"},
		{"listen 192.0.2.1:8480", "listen off", "the web pages are served at no address any more"},
		{"service notify", "sysctl expire_nodest_conn=0\nservice notify", "the LVS service: expire_nodest_conn changes from yes to no"},
	} {
		got := Effects(old, configOf(t, strings.Replace(guardedText, tt.from, tt.to, 1)))
		if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.Contains(got, tt.want) {
			t.Errorf("%q for %q: got %q, want %q", tt.to, tt.from, got, tt.want)
		}
		for _, line := range got {
			if strings.Contains(line, "T0KEN") || strings.Contains(line, "OTHER") {
				t.Errorf("a secret is told: %s", line)
			}
		}
	}
}

// TestNoEffectIsMissed changes every field of a configuration, one at a time:
// each must be told of.
func TestNoEffectIsMissed(t *testing.T) {
	old := configOf(t, guardedText)
	changes := 0
	var walk func(path string, v reflect.Value)
	check := func(path string, after model.Config) {
		changes++
		if got := Effects(old, after); len(got) == 0 {
			t.Errorf("%s: nothing is told", path)
		}
	}
	after := configOf(t, guardedText)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.Type() == reflect.TypeFor[netip.Addr]() || v.Type() == reflect.TypeFor[netip.AddrPort]() || v.Type() == reflect.TypeFor[netip.Prefix]():
			was := reflect.ValueOf(v.Interface())
			v.Set(reflect.ValueOf(map[reflect.Type]any{
				reflect.TypeFor[netip.Addr]():     netip.MustParseAddr("10.9.9.9"),
				reflect.TypeFor[netip.AddrPort](): netip.MustParseAddrPort("10.9.9.9:9"),
				reflect.TypeFor[netip.Prefix]():   netip.MustParsePrefix("10.9.9.0/24"),
			}[v.Type()]))
			check(path, after)
			v.Set(was)
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(path, v.Index(i))
			}
			whole := v.Interface()
			v.Set(v.Slice(0, v.Len()-1))
			check(path+" shorter", after)
			v.Set(reflect.ValueOf(whole))
		default:
			was := reflect.ValueOf(v.Interface())
			switch v.Kind() {
			case reflect.Bool:
				v.SetBool(!v.Bool())
			case reflect.String:
				v.SetString(v.String() + "x")
			case reflect.Int, reflect.Int64:
				v.SetInt(v.Int() + int64(time.Second))
			default:
				v.SetUint(v.Uint() + 1)
			}
			check(path, after)
			v.Set(was)
		}
	}
	walk("", reflect.ValueOf(&after).Elem())
	if !reflect.DeepEqual(old, after) || len(Effects(old, after)) > 0 {
		t.Error("the walk changed the configuration for good")
	}
	if changes < 80 {
		t.Errorf("only %d changes were tried", changes)
	}
	slices.Reverse(after.Directors[0].Servers)
	check("the order of the servers", after)
}
