package realserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// recordName is the file in the state directory.
const recordName = "realserver.json"

// recordVersion rises when a former Fairlead would misread the record.
const recordVersion = 1

// kept is one thing that was changed.
type kept struct {
	Key
	Before Value `json:"before"`
	// Ours is what was put there. There are several while a set-up is under way.
	Ours []Value `json:"ours"`
}

// known tells whether a value is from before or was put there by a set-up.
func (k kept) known(v Value) bool {
	return v.same(k.Before) || slices.ContainsFunc(k.Ours, v.same)
}

// record is what was asked for, and what was there before. It outlives a reboot.
type record struct {
	Version int    `json:"version"`
	Made    bool   `json:"made"`    // its directory was made for it
	Pending bool   `json:"pending"` // a set-up or undo has begun and not ended
	Wish    Wish   `json:"wish"`
	Items   []kept `json:"items"` // in the order in which they were changed first
}

func (r *record) add(k kept) { r.Items = append(r.Items, k) }

func (r record) find(key Key) (kept, bool) {
	i := slices.IndexFunc(r.Items, func(k kept) bool { return k.Key == key })
	if i < 0 {
		return kept{}, false
	}
	return r.Items[i], true
}

// empty tells that there is nothing to remember.
func (r record) empty() bool { return len(r.Items) == 0 && r.Wish.empty() }

func (r record) encode() (string, error) {
	r.Version = recordVersion
	text, err := json.MarshalIndent(r, "", "  ")
	return string(text) + "\n", err
}

func decodeRecord(text string) (record, error) {
	var r record
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields() // what is not understood would be lost by the next set-up
	err := d.Decode(&r)
	if err == nil && r.Version != recordVersion {
		err = fmt.Errorf("it is of version %d, and this Fairlead knows only %d", r.Version, recordVersion)
	}
	if err == nil && d.More() {
		err = errors.New("something follows its end")
	}
	if err == nil && slices.ContainsFunc(r.Items, func(k kept) bool { return len(k.Ours) == 0 || k.Name == "" }) {
		err = errors.New("it does not say what was put where")
	}
	return r, err
}
