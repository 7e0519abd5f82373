// Package desk is where the configuration's documents are worked on: it reads
// them, checks them as a whole against this machine, tells what they would
// change, and puts new ones in the place of the old. It keeps what is in force in
// mind, to compare with. It does not bring a configuration into force (the agent
// does), knows nothing of how files are kept (store does) and nothing of the
// language (config does).
package desk
