package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/model"
)

// userCommand is about who may log in to the pages.
type userCommand struct {
	Add    userAddCommand    `cmd:"" help:"Add a user."`
	List   userListCommand   `cmd:"" help:"List the users."`
	Passwd userPasswdCommand `cmd:"" help:"Give a user another password. The user's sessions end."`
	Role   userRoleCommand   `cmd:"" help:"Give a user another role, from the next request on."`
	Remove userRemoveCommand `cmd:"" help:"Remove a user. The user's sessions end."`
}

// tokenCommand is about the programmes that may use the API.
type tokenCommand struct {
	Add    tokenAddCommand    `cmd:"" help:"Add a token and print its secret, this once."`
	List   tokenListCommand   `cmd:"" help:"List the tokens."`
	Remove tokenRemoveCommand `cmd:"" help:"Remove a token. It is refused from then on."`
}

type (
	userAddCommand struct {
		stateFlag
		roleFlag
		passwordFlags
		Name string `arg:"" help:"Of the user: letters, digits and . _ @ -"`
	}
	userListCommand struct {
		stateFlag
		JSON bool `name:"json" help:"Print JSON."`
	}
	userPasswdCommand struct {
		stateFlag
		passwordFlags
		Name string `arg:"" help:"Of the user."`
	}
	userRoleCommand struct {
		stateFlag
		Name string `arg:"" help:"Of the user."`
		Role string `arg:"" enum:"viewer,operator,admin" help:"viewer, operator or admin."`
	}
	userRemoveCommand struct {
		stateFlag
		Name string `arg:"" help:"Of the user."`
	}
	tokenAddCommand struct {
		stateFlag
		roleFlag
		Name string `arg:"" help:"Of the token: letters, digits and . _ @ -"`
	}
	tokenListCommand struct {
		stateFlag
		JSON bool `name:"json" help:"Print JSON."`
	}
	tokenRemoveCommand struct {
		stateFlag
		Name string `arg:"" help:"Of the token."`
	}
)

// roleFlag says what somebody may do.
type roleFlag struct {
	Role string `required:"" enum:"viewer,operator,admin" placeholder:"ROLE" help:"What it may do: viewer (see), operator (give orders, too) or admin (change the configuration, too)."`
}

// readRole reads a role that the parser has let through.
func readRole(name string) (model.Role, error) {
	var role model.Role
	if err := role.UnmarshalText([]byte(name)); err != nil {
		return role, unable{err}
	}
	return role, nil
}

// denied makes a command without the rights one that could not be tried.
func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return unable{fmt.Errorf("%w: run it with sudo", err)}
	}
	return err
}

func (c *userAddCommand) Run(ctx context.Context, env *surroundings) error {
	role, err := readRole(c.Role)
	if err != nil {
		return err
	}
	store, err := access.Open(c.StateDir)
	if err != nil {
		return denied(err)
	}
	// A password is not asked for in vain.
	if err := access.CheckName(c.Name); err != nil {
		return unable{err}
	}
	if there, err := hasUser(store, c.Name); err != nil || there {
		if there {
			err = fmt.Errorf("there is a user %s already; `fairlead user passwd` and `fairlead user role` change it", c.Name)
		}
		return denied(err)
	}
	password, err := c.read(ctx, env, c.Name)
	if err != nil {
		return err
	}
	if err := store.Add(c.Name, role, password); err != nil {
		return denied(err)
	}
	_, err = fmt.Fprintf(env.out, "the user %s is added, with the role %s\n", c.Name, role)
	return err
}

func hasUser(store *access.Store, name string) (bool, error) {
	users, err := store.Users()
	for _, u := range users {
		if u.Name == name {
			return true, err
		}
	}
	return false, err
}

func (c *userPasswdCommand) Run(ctx context.Context, env *surroundings) error {
	store, err := access.Open(c.StateDir)
	if err != nil {
		return denied(err)
	}
	if there, err := hasUser(store, c.Name); err != nil || !there {
		if err == nil {
			err = fmt.Errorf("there is no user %q; see `fairlead user list`", c.Name)
		}
		return denied(err)
	}
	password, err := c.read(ctx, env, c.Name)
	if err != nil {
		return err
	}
	if err := store.SetPassword(c.Name, password); err != nil {
		return denied(err)
	}
	_, err = fmt.Fprintf(env.out, "the user %s has another password; its sessions have ended\n", c.Name)
	return err
}

func (c *userRoleCommand) Run(env *surroundings) error {
	role, err := readRole(c.Role)
	if err != nil {
		return err
	}
	store, err := access.Open(c.StateDir)
	if err == nil {
		err = store.SetRole(c.Name, role)
	}
	if err != nil {
		return denied(err)
	}
	_, err = fmt.Fprintf(env.out, "the user %s has the role %s\n", c.Name, role)
	return err
}

func (c *userRemoveCommand) Run(env *surroundings) error {
	store, err := access.Open(c.StateDir)
	if err == nil {
		err = store.Remove(c.Name)
	}
	if err != nil {
		return denied(err)
	}
	_, err = fmt.Fprintf(env.out, "the user %s is removed; its sessions have ended\n", c.Name)
	return err
}

func (c *userListCommand) Run(env *surroundings) error {
	store, err := access.Open(c.StateDir)
	if err != nil {
		return denied(err)
	}
	users, err := store.Users()
	if err != nil {
		return denied(err)
	}
	if c.JSON {
		return printJSON(env.out, users)
	}
	var rows []access.Token // which has the same columns
	for _, u := range users {
		rows = append(rows, access.Token(u))
	}
	return printList(env, rows, "PASSWORD OF", "there is no user; `fairlead user add NAME --role admin` adds the first one")
}

func (c *tokenListCommand) Run(env *surroundings) error {
	store, err := access.Open(c.StateDir)
	if err != nil {
		return denied(err)
	}
	tokens, err := store.Tokens()
	if err != nil {
		return denied(err)
	}
	if c.JSON {
		return printJSON(env.out, tokens)
	}
	return printList(env, tokens, "MADE", "there is no token; `fairlead token add NAME --role viewer` adds one")
}

// printList prints a table, or the words for none.
func printList(env *surroundings, rows []access.Token, since, none string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(env.out, none)
		return err
	}
	w := tabwriter.NewWriter(env.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "NAME\tROLE\t%s\n", since)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Name, r.Role, r.Since.Format(time.DateOnly))
	}
	return w.Flush()
}

func (c *tokenAddCommand) Run(env *surroundings) error {
	role, err := readRole(c.Role)
	if err != nil {
		return err
	}
	if err := access.CheckName(c.Name); err != nil {
		return unable{err}
	}
	store, err := access.Open(c.StateDir)
	if err != nil {
		return denied(err)
	}
	secret, err := store.AddToken(c.Name, role)
	if err != nil {
		return denied(err)
	}
	// The secret alone goes to the output, so that it can be sent to a file.
	fmt.Fprintf(env.err, "the token %s is added, with the role %s. Its secret is shown this once:\n", c.Name, role)
	_, err = fmt.Fprintln(env.out, secret)
	return err
}

func (c *tokenRemoveCommand) Run(env *surroundings) error {
	store, err := access.Open(c.StateDir)
	if err == nil {
		err = store.RemoveToken(c.Name)
	}
	if err != nil {
		return denied(err)
	}
	_, err = fmt.Fprintf(env.out, "the token %s is removed\n", c.Name)
	return err
}
