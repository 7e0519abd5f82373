package config

import (
	"time"

	"fairlead/internal/model"
)

// Defaults of what a configuration need not say.
const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 3 * time.Second
	defaultRise     = 2
	defaultFall     = 2
	defaultWeight   = 1

	defaultHookTimeout   = 30 * time.Second
	defaultNFSLastActive = 60 * time.Second
	defaultNotifyTimeout = 10 * time.Second

	// An interval below it asks more than a server's failure can tell.
	shortInterval = 100 * time.Millisecond

	// Unlike IPVS, where it is 0: an old connection is reset, not met with
	// silence, unless somebody asks for silence.
	defaultExpireNoDestConn = true

	// Those of IPVS.
	defaultEstablished = 15 * time.Minute
	defaultSynRecv     = time.Minute
)

// Limits of the data plane.
const (
	maxDirectors = 128
	maxServers   = 16 // of one director
	maxFlows     = 10000
	maxVIPs      = 10000 // single destinations
	maxVIPs6     = 7000  // of them of IPv6
	maxServices  = 12000 // ports of these
	maxRules     = 16384 // places
)

// Load parses and checks the sources. The configuration is the zero one when a
// diagnostic is an error.
func Load(sources []Source) (model.Config, []Diagnostic) {
	f, diags := Parse(sources)
	cfg, more := Check(f)
	diags = arrange(f, append(diags, more...))
	if Failed(diags) {
		cfg = model.Config{}
	}
	return cfg, diags
}

// Check finds the meaning of a configuration and all that is wrong with it. The
// configuration is the zero one when a diagnostic is an error. Lines that Parse
// reported are passed over: use Load to get both.
func Check(f File) (model.Config, []Diagnostic) { return check(f, false) }

// CheckFirst is Check for a director that has nothing in force yet: an empty
// configuration is a beginning then, and no mistake.
func CheckFirst(f File) (model.Config, []Diagnostic) { return check(f, true) }

func check(f File, first bool) (model.Config, []Diagnostic) {
	c := checker{directorNames: make(map[string]Word), seen: make(map[string]Word), sysctls: make(map[string]Word),
		web: webDraft{lines: make(map[string]Word)}}
	c.config.LVS.ExpireNoDestConn = defaultExpireNoDestConn
	c.config.LVS.Timeouts = model.Timeouts{Established: defaultEstablished, SynRecv: defaultSynRecv}
	c.empty(f, first)
	c.each(f, c.register)
	c.each(f, c.section)
	c.relations()
	c.webWhole()
	if !c.strange && !Failed(c.diags) { // else they would blame what somebody else's mistake left out
		c.advice()
	}
	diags := arrange(f, c.diags)
	if Failed(diags) {
		return model.Config{}, diags
	}
	for _, d := range c.directors {
		c.config.Directors = append(c.config.Directors, d.director)
	}
	for _, fl := range c.flows {
		c.config.Flows = append(c.config.Flows, fl.flow)
	}
	c.config.Web = c.web.web
	return c.config, diags
}

// checker collects the meaning of the sections and what is wrong with them.
type checker struct {
	report
	config        model.Config // its flows and directors are filled in last
	directors     []directorDraft
	flows         []flowDraft
	directorNames map[string]Word // of the whole configuration, also those still to be read
	seen          map[string]Word // "flow NAME" and "director NAME" that were read
	strange       bool            // a section has lines that Parse reported
	sysctls       map[string]Word // the settings of the LVS service that were read
	web           webDraft
}

// directorDraft is a director with the places that later messages point at.
type directorDraft struct {
	director model.Director
	name     Word
	servers  []serverDraft // one for each server of the director
	sync     Word          // the word synccheck
}

// serverDraft holds the words of a server. A wrong one has an error on its line.
type serverDraft struct {
	name, addr Word
	wrong      bool
}

// flowDraft is a flow with the places that later messages point at.
type flowDraft struct {
	flow     model.Flow
	name     Word
	director Word
	rules    []ruleDraft // one for each rule of the flow
}

// ruleDraft holds the words of a rule. The words of conditions that the rule
// does not have are empty.
type ruleDraft struct{ keyword, iface, dst Word }

func (c *checker) each(f File, do func(Section)) {
	for _, u := range f.Units {
		for _, s := range u.Sections {
			do(s)
		}
	}
}

// empty refuses a configuration without a single line, but the first one: a file
// that was cut short must not take a running service away.
func (c *checker) empty(f File, allowed bool) {
	var at Word
	for _, u := range f.Units {
		if len(u.Sections) > 0 {
			return
		}
		if at.Line == 0 {
			at.Pos = Pos{u.Name, 1, 1}
		}
	}
	if allowed {
		c.warn(at, "write a flow and a director: in the files and then fairlead reload, or on the web pages", "the configuration is empty: nothing is forwarded")
		return
	}
	c.fail(at, "write at least a flow and a director; to stop forwarding, use fairlead detach", "the configuration is empty")
}

// register notes the names that other sections may refer to.
func (c *checker) register(s Section) {
	args := s.Head.args()
	if s.Kind != KindDirector || len(args) == 0 {
		return
	}
	if _, taken := c.directorNames[args[0].Text]; !taken {
		c.directorNames[args[0].Text] = args[0]
	}
}

func (c *checker) section(s Section) {
	c.strange = c.strange || stranger(s)
	switch s.Kind {
	case KindFlow, KindOutflow:
		c.flow(s)
	case KindDirector:
		c.director(s)
	case KindService:
		c.service(s)
	case KindSysctl:
		c.serviceLine(s.Head)
		for _, l := range s.Body {
			c.serviceLine(l)
		}
	case KindUnknown: // reported by Parse
	}
}
