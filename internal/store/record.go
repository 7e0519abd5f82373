package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"fairlead/internal/model"
)

const (
	magic     = "fairlead-configuration"
	layout    = 1        // rises when a former Fairlead would misread it
	maxRecord = 64 << 20 // bytes past which a file is none of ours
)

// encode makes the content of a file of the state directory: a line with a magic word,
// the layout and a checksum, and JSON after it.
func encode(value any) (string, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return fmt.Sprintf("%s %d sha256:%s\n%s\n", magic, layout, hex.EncodeToString(sum[:]), body), nil
}

// decode reads such a content. Its errors are in plain words.
func decode(text string, value any) error {
	head, body, _ := strings.Cut(text, "\n")
	body = strings.TrimSuffix(body, "\n")
	words := strings.Split(head, " ")
	sum := sha256.Sum256([]byte(body))
	switch {
	case text == "":
		return errors.New("it is empty")
	case len(words) != 3 || words[0] != magic:
		return fmt.Errorf("it does not begin with %s", magic)
	case words[1] != fmt.Sprint(layout):
		return fmt.Errorf("it has the layout %.20q of another Fairlead, and this one knows only %d", words[1], layout)
	case words[2] != "sha256:"+hex.EncodeToString(sum[:]):
		return errors.New("it was cut short or changed: its checksum does not match")
	}
	return json.Unmarshal([]byte(body), value)
}

// record writes a file of the state directory, all of it or nothing.
func (s *Store) record(path string, value any) error {
	text, err := encode(value)
	if err != nil {
		return err
	}
	fresh := path + ".new"
	err = s.disk.create(fresh, text, "")
	if err == nil {
		err = s.disk.rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, s.disk.remove(fresh))
	}
	return s.disk.sync(filepath.Dir(path))
}

// recall reads such a file.
func (s *Store) recall(path string, value any) error {
	text, err := readFile(path, maxRecord)
	if err != nil {
		return err
	}
	return decode(text, value)
}

// kept is a version or a draft as the state directory holds it.
type kept struct {
	ID        uint64         `json:"id,omitempty"`
	At        time.Time      `json:"at"`
	By        string         `json:"by"`
	Base      string         `json:"base,omitempty"` // of a draft
	Documents []keptDocument `json:"documents"`
}

// keptDocument has its text as bytes: it need not be UTF-8.
type keptDocument struct {
	Name string `json:"name"`
	Text []byte `json:"text"`
}

func keep(docs []model.Document) []keptDocument {
	all := make([]keptDocument, len(docs))
	for i, d := range docs {
		all[i] = keptDocument{d.Name, []byte(d.Text)}
	}
	return all
}

func (k kept) documents() []model.Document {
	all := make([]model.Document, len(k.Documents))
	for i, d := range k.Documents {
		all[i] = model.Document{Name: d.Name, Tab: pages[filepath.Base(d.Name)], Text: string(d.Text)}
	}
	return all
}
