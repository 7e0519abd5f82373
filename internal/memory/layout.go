package memory

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"fairlead/internal/model"
)

const (
	magic   = "fairlead-memory"
	version = 1 // of the layout: rises when a former Fairlead would misread it
)

// encode makes the file's content.
func encode(m model.Memory) ([]byte, error) {
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	return fmt.Appendf(nil, "%s %d %s\n%s", magic, version, digest(body), body), nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// decode reads the file's content. Its errors are in plain words.
func decode(text []byte) (model.Memory, error) {
	head, body, _ := bytes.Cut(text, []byte("\n"))
	words := strings.Split(string(head), " ")
	switch {
	case len(text) == 0:
		return model.Memory{}, errors.New("it is empty")
	case words[0] != magic:
		return model.Memory{}, fmt.Errorf("it is not a memory of Fairlead: its first word is not %s", magic)
	case len(words) > 1 && words[1] != fmt.Sprint(version):
		return model.Memory{}, fmt.Errorf("it has the layout %.20q of another Fairlead, and this one knows only %d", words[1], version)
	case len(words) != 3 || words[2] != digest(body):
		return model.Memory{}, errors.New("it was cut short or changed: its checksum does not match")
	}
	var m model.Memory
	d := json.NewDecoder(bytes.NewReader(body))
	// What is not understood would be forgotten by the next Save.
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return model.Memory{}, fmt.Errorf("it holds what this Fairlead does not understand: %w", err)
	}
	return m, nil
}
