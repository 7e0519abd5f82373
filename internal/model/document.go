package model

import "time"

// Document is one file of the configuration.
type Document struct {
	Name string `json:"name"` // its path
	Tab  Tab    `json:"tab"`
	Text string `json:"text"`
}

// Tab is the page on which a document is edited. The application note's three
// tabs are the files flow.cfg, l4.cfg and services.cfg.
type Tab uint8

const (
	TabOther Tab = iota
	TabFlow
	TabL4
	TabServices
)

var tabs = table{"other", "flow", "l4", "services"}

func (t Tab) String() string               { return tabs.name("tab", uint8(t)) }
func (t Tab) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
func (t *Tab) UnmarshalText(b []byte) error {
	v, err := tabs.value("tab", string(b))
	*t = Tab(v)
	return err
}

// Draft is a text that was saved, and is not in force.
type Draft struct {
	Hash      string     `json:"hash"`
	Base      string     `json:"base"` // the hash of the documents that it began from
	By        string     `json:"by"`
	At        time.Time  `json:"at"`
	Documents []Document `json:"documents"` // all of them
}

// Version is a configuration that was once in force.
type Version struct {
	ID        uint64     `json:"id"` // counts up
	At        time.Time  `json:"at"`
	By        string     `json:"by"`
	Hash      string     `json:"hash"`
	Documents []Document `json:"documents,omitempty"`
}
