// Package config is the configuration language: it turns the text of flows,
// directors and services into a checked model.Config, or into diagnostics that
// say what is wrong, where, and what was expected.
//
// Parse gives the raw form of the text (File), Check gives its meaning, Format
// and Print give its canonical form, Notes say what nobody wrote but holds, and
// CheckHost and CheckHooks compare the meaning with facts of a machine. The language knows more than the data plane can
// do; Check answers that part with "not supported yet", never with silence.
//
// It is longer than other packages since the form and the meaning of the text
// share one grammar and the places of its words.
//
// The package reads no files, asks nothing of the machine and changes nothing.
package config
