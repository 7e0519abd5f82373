package site

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"fairlead/internal/access"
	"fairlead/internal/lab/visitor"
	"fairlead/internal/model"
	"fairlead/internal/topology"
)

// visitTime is how long a visitor may take for one order.
const visitTime = 3 * time.Minute

// pages is where the director's pages are, on its own host.
var pages = model.DefaultWeb().Listen

// Visitor is a person with a browser on the director's host.
type Visitor struct {
	site    *Site
	process *topology.Process
	orders  *os.File
	told    *os.File
	in      *json.Decoder
}

// Visit sends somebody with a browser to the director's host, who logs in to its
// pages.
func (s *Site) Visit(ctx context.Context) (v *Visitor, err error) {
	const name = "operator"
	password := rand.Text()
	people, err := access.Open(s.state())
	if err != nil {
		return nil, err
	}
	if err := people.Add(name, model.RoleAdmin, password); err != nil {
		return nil, fmt.Errorf("add a user for the browser: %w", err)
	}
	v = &Visitor{site: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Close())
		}
	}()
	if err := v.start(pages); err != nil {
		return v, err
	}
	_, err = v.Do(ctx, visitor.Order{Deed: visitor.Login, Name: name, Password: password})
	return v, err
}

// start starts the visitor's process.
func (v *Visitor) start(at netip.AddrPort) error {
	read, orders, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer read.Close() // the process has its own
	v.orders = orders
	told, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer write.Close()
	v.told, v.in = told, json.NewDecoder(told)
	cmd := exec.Command(v.site.opts.Program, "lab-visitor", "--url", "http://"+at.String())
	cmd.Stdin = read
	v.process, err = v.site.start(v.site.Director, cmd, write)
	return err
}

// Do gives an order and waits until it is carried out.
func (v *Visitor) Do(ctx context.Context, o visitor.Order) (visitor.Done, error) {
	stop := context.AfterFunc(ctx, func() { _ = v.told.SetReadDeadline(time.Now()) })
	defer stop()
	if err := v.told.SetReadDeadline(time.Now().Add(visitTime)); err != nil {
		return visitor.Done{}, fmt.Errorf("limit the time of the browser: %w", err)
	}
	if err := json.NewEncoder(v.orders).Encode(o); err != nil {
		return visitor.Done{}, fmt.Errorf("give the browser an order: %w", err)
	}
	var done visitor.Done
	if err := v.in.Decode(&done); err != nil {
		if ctx.Err() != nil {
			return done, ctx.Err()
		}
		return done, fmt.Errorf("wait for the browser to %s: %w; it printed:\n%s", o.Deed, err, v.site.tail(v.site.Director))
	}
	if done.Err != "" {
		return done, fmt.Errorf("%s in the browser: %s", o.Deed, done.Err)
	}
	return done, nil
}

// Close sends the visitor home.
func (v *Visitor) Close() error {
	var all []error
	if v.orders != nil {
		all = append(all, v.orders.Close()) // there are no more orders: it ends by itself
	}
	if v.process != nil {
		select {
		case <-v.process.Done():
		case <-time.After(homeTime):
		}
		all = append(all, v.process.Stop(homeTime))
	}
	if v.told != nil {
		all = append(all, v.told.Close())
	}
	return errors.Join(all...)
}

// homeTime is how long the browser may take to end.
const homeTime = 5 * time.Second

// configure lets a visitor follow the application note from an empty
// configuration to a director that forwards.
func (s *Site) configure(ctx context.Context) (err error) {
	if s.Visitor, err = s.Visit(ctx); err != nil {
		return err
	}
	texts := visitor.Texts{Flow: s.opts.Config["flow.cfg"], L4: s.opts.Config["l4.cfg"], Services: s.opts.Config["services.cfg"]}
	begun := time.Now()
	if s.Walked, err = s.Visitor.Do(ctx, visitor.Order{Deed: visitor.Walk, Texts: texts}); err != nil {
		return err
	}
	s.WalkTime = time.Since(begun)
	return s.ready(ctx, s.Director, s.Daemon, func(ctx context.Context) error {
		st, err := s.Control.Status(ctx)
		if err != nil {
			return err
		}
		d, err := DirectorOf(st)
		if err != nil {
			return err
		}
		return forwards(st, d)
	})
}
