package config

import (
	"reflect"
	"testing"
)

// FuzzParse feeds any two texts: nothing panics, every diagnostic points into
// the text, and the canonical form means the same and is canonical already.
func FuzzParse(f *testing.F) {
	for _, path := range goldenFiles(f) {
		sources := append(readGolden(f, path).sources(), Source{}, Source{})
		f.Add(sources[0].Text, sources[1].Text)
	}
	for _, form := range noteForms {
		sources := append(form(noteFiles(f)), Source{})
		f.Add(sources[0].Text, sources[1].Text)
	}
	f.Add([]byte("\xef\xbb\xbf\xef\xbb\xbfflow \xff\x00 skip\r\r\n#\r#\n"), []byte("\v# x\n\n\n  # y\n\f\nno\u2028autostart"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		sources := []Source{{"a.cfg", a}, {"b.cfg", b}}
		cfg, diags := Load(sources)
		for _, d := range diags {
			checkPosition(t, sources, d)
			NewRendering(sources).Render(d)
		}
		file, _ := Parse(sources)
		canonical := Format(file)
		again, _ := Parse(canonical)
		if got := Format(again); !reflect.DeepEqual(got, canonical) {
			t.Errorf("the canonical form is not stable:\n%q\n%q", canonical, got)
		}
		cfg2, diags2 := Load(canonical)
		if !reflect.DeepEqual(cfg, cfg2) {
			t.Errorf("the canonical form means something else:\n%+v\n%+v", cfg, cfg2)
		}
		if got, want := offences(diags2), offences(diags); !reflect.DeepEqual(got, want) {
			t.Errorf("the canonical form has other diagnostics:\n%q\n%q", got, want)
		}
		if !Failed(diags) {
			CheckHost(cfg, file, nil)
			Notes(cfg, file)
			trouble := make(map[string]string)
			for _, h := range Hooks(cfg) {
				trouble[h] = "missing"
			}
			if found := CheckHooks(file, trouble); len(found) < len(trouble) {
				t.Errorf("%d findings of %d bad hooks", len(found), len(trouble))
			}
		}
	})
}

func checkPosition(t *testing.T, sources []Source, d Diagnostic) {
	t.Helper()
	for _, s := range sources {
		if s.Name != d.Source {
			continue
		}
		lines := splitLines(s.Text)
		if d.Line < 1 || d.Line > max(len(lines), 1) || d.Column < 1 || d.Column > len(lines[d.Line-1])+1 {
			t.Errorf("%s is outside of the text", d)
		}
		return
	}
	t.Errorf("%s names no source", d)
}

// offences are the diagnostics without their places, which the canonical form
// changes, also within messages.
func offences(diags []Diagnostic) []string {
	var all []string
	for _, d := range diags {
		all = append(all, d.Severity.String()+" "+d.Text)
	}
	return all
}
