package config

// spec is a word that may stand on a line in any order with others of its kind.
type spec struct {
	name  string
	value string // what follows it, for messages; "": nothing, it is a flag
	not   bool   // the word not may stand before it
}

// setting is such a word as it was found.
type setting struct {
	name    Word
	value   Word
	negated bool
}

func names(specs []spec) []string {
	list := make([]string, len(specs))
	for i, s := range specs {
		list[i] = s.name
	}
	return list
}

func find(specs []spec, name string) (spec, bool) {
	for _, s := range specs {
		if s.name == name {
			return s, true
		}
	}
	return spec{}, false
}

// settings reads the words of a line. What is wrong is reported and left out;
// of, for messages, is what the words belong to.
func (r *report) settings(of string, words []Word, specs []spec) []setting {
	var list []setting
	first := make(map[string]Word)
	for i := 0; i < len(words); {
		s, used, ok := r.setting(of, words[i:], specs)
		if used == 0 {
			break // nothing after an unknown word can be understood
		}
		i += used
		if !ok {
			continue
		}
		if old, twice := first[s.name.Text]; twice {
			r.again(s.name, old, of)
			continue
		}
		first[s.name.Text] = s.name
		list = append(list, s)
	}
	return list
}

// setting reads one of the words and its value, and tells how many words that
// took; none when the rest of the line cannot be read.
func (r *report) setting(of string, words []Word, specs []spec) (s setting, used int, ok bool) {
	s.name = words[0]
	if s.name.Text == "not" && specs[0].not {
		if len(words) == 1 {
			r.fail(s.name, "expected "+either(names(specs)), "nothing follows \"not\" in %s", of)
			return s, 0, false
		}
		s.name, s.negated, used = words[1], true, 1
	}
	sp, known := find(specs, s.name.Text)
	if !known {
		r.fail(s.name, expected(s.name.Text, names(specs)), "unknown word %s in %s", quote(s.name.Text), of)
		meant, _, near := nearest(s.name.Text, names(specs))
		if sp, _ = find(specs, meant); !near {
			return s, 0, false
		}
	}
	if used++; sp.value == "" {
		return s, used, known
	}
	if used < len(words) {
		if _, isName := find(specs, words[used].Text); !isName && words[used].Text != "not" {
			s.value = words[used]
			return s, used + 1, known
		}
	}
	if known {
		r.fail(s.name, "", "%s needs %s", quote(s.name.Text), sp.value)
	}
	return s, used, false
}

// again reports a word that was given before.
func (r *report) again(w, old Word, of string) {
	r.fail(w, "the first is at "+old.Pos.String(), "second %s in %s", quote(w.Text), of)
}

// extra reports words after a line's end.
func (r *report) extra(l Line, most int) {
	if len(l.Words) > most {
		w := l.Words[most]
		r.fail(w, "", "unexpected word %s after %s", quote(w.Text), quote(l.Words[most-1].Text))
	}
}
