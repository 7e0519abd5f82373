package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"fairlead/internal/api"
)

// version is what `fairlead version` says.
const version = "0.1.0"

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // it was tried and failed, or the configuration has errors
	exitUnable = 2 // it could not be tried: wrong usage, no root, no daemon, an old kernel
)

// surroundings are what a command sees of the world outside.
type surroundings struct {
	in       io.Reader
	out, err io.Writer
	terminal bool   // out is one
	colour   bool   // out may be coloured
	root     bool   // the user is root
	release  string // of the kernel
	hangups  <-chan os.Signal
}

// commands is the whole command line.
type commands struct {
	Run         runCommand         `cmd:"" help:"Run the daemon: attach the data plane, check the servers, switch when one dies."`
	Check       checkCommand       `cmd:"" help:"Check a configuration and show all findings."`
	Fmt         fmtCommand         `cmd:"" help:"Print a configuration in its canonical form."`
	Doctor      doctorCommand      `cmd:"" help:"Look at the servers and this machine, and say what will bite, before it does."`
	Status      statusCommand      `cmd:"" help:"Show what the daemon wants, what the kernel has, and what was observed."`
	Switch      switchCommand      `cmd:"" help:"Make a director use another server now. Old connections are reset."`
	Drain       drainCommand       `cmd:"" help:"Give a server no new connections. The active server is replaced first."`
	Disable     disableCommand     `cmd:"" help:"Do not use a server at all, until it is enabled."`
	Enable      enableCommand      `cmd:"" help:"Use a server again that was drained or disabled."`
	Connections connectionsCommand `cmd:"" help:"List the TCP connections that the data plane knows."`
	Templates   templatesCommand   `cmd:"" help:"List the clients that option persistence keeps on a server."`
	Forget      forgetCommand      `cmd:"" help:"Let clients go that option persistence keeps on a server."`
	Explain     explainCommand     `cmd:"" help:"Say what would become of a packet, and why. Nothing is sent or changed."`
	Top         topCommand         `cmd:"" help:"Show all of it live, like top, with keys for orders."`
	Events      eventsCommand      `cmd:"" help:"Show what happened, and why: the journal."`
	Reload      reloadCommand      `cmd:"" help:"Make the daemon read its configuration again. Errors change nothing."`
	Capture     captureCommand     `cmd:"" help:"Show the packets that the data plane handles, or write them to a pcap file."`
	User        userCommand        `cmd:"" help:"Say who may log in to the pages: add, list, passwd, role, remove."`
	Token       tokenCommand       `cmd:"" help:"Say which programmes may use the API: add, list, remove."`
	Detach      detachCommand      `cmd:"" help:"Take the data plane out of the kernel. Forwarding stops."`
	Realserver  realserverCommand  `cmd:"" help:"Prepare a real server for Direct Server Return: setup, check, undo."`
	Lab         labCommand         `cmd:"" help:"Build the NFS example on this machine, break a server, and measure what a client sees."`
	Completion  completionCommand  `cmd:"" help:"Print a script that makes a shell complete commands, flags and names."`
	Man         manCommand         `cmd:"" help:"Write the manual pages."`
	Version     versionCommand     `cmd:"" help:"Print the version."`

	Complete   completeCommand   `cmd:"" name:"__complete" hidden:""`
	LabServer  labServerCommand  `cmd:"" hidden:""`
	LabCrowd   labCrowdCommand   `cmd:"" hidden:""`
	LabVisitor labVisitorCommand `cmd:"" hidden:""`
}

const description = `A layer-4 director with Direct Server Return, made for NFS that outlives its server.

Exit codes: 0 done; 1 it failed, or the configuration has errors; 2 it cannot run here: wrong usage, no root, no daemon, an old kernel.`

// unable is an error that kept a command from being tried at all.
type unable struct{ error }

func (u unable) Unwrap() error { return u.error }

// silent is an error whose words were printed already.
type silent struct{ error }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, env *surroundings) int {
	var line commands
	helped := false
	parser, err := newParser(&line, env, func(int) { helped = true })
	if err != nil {
		return report(env, err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitDone
	}
	if err != nil {
		return report(env, unable{fmt.Errorf("%w; see `fairlead %s`", err, strings.TrimSpace(wanted(args)+" --help"))})
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return report(env, parsed.Run(env))
}

func newParser(line *commands, env *surroundings, exit func(int)) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("fairlead"),
		kong.Description(description),
		kong.Vars{"socket": api.DefaultSocket, "pins": defaultPins, "state": defaultState},
		kong.Writers(env.out, env.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Exit(exit))
}

// wanted is the command that a command line names, "" when it begins otherwise.
func wanted(args []string) string {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return ""
	}
	return args[0]
}

// report prints an error and returns the exit code that it means.
func report(env *surroundings, err error) int {
	if err == nil {
		return exitDone
	}
	var found *api.Error
	if errors.As(err, &found) {
		for _, d := range found.Diagnostics {
			fmt.Fprint(env.err, d.Rendered)
		}
	}
	var told silent
	if !errors.As(err, &told) {
		fmt.Fprintf(env.err, "fairlead: %v\n", err)
	}
	var cannot unable
	if errors.As(err, &cannot) || errors.Is(err, api.ErrNotRunning) || errors.Is(err, api.ErrForbidden) {
		return exitUnable
	}
	return exitFailed
}

// needRoot refuses a command to everybody else.
func (env *surroundings) needRoot(what string) error {
	if env.root {
		return nil
	}
	return unable{fmt.Errorf("%s needs root: run it with sudo", what)}
}

type versionCommand struct{}

func (versionCommand) Run(env *surroundings) error {
	_, err := fmt.Fprintf(env.out, "fairlead %s\n", version)
	return err
}
