package visitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"fairlead/internal/lab/clock"
)

// Deed is what a visitor can be ordered to do.
type Deed string

const (
	Login Deed = "login" // with Name and Password
	Walk  Deed = "walk"  // the note's walk-through with Texts
	Await Deed = "await" // until the Overview shows Server as active
	Shoot Deed = "shoot" // keep pictures of all pages in Dir
)

// Order is one line that a visitor reads.
type Order struct {
	Deed     Deed   `json:"deed"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password,omitempty"`
	Texts    Texts  `json:"texts,omitzero"`
	Server   string `json:"server,omitempty"`
	Dir      string `json:"dir,omitempty"`
}

// Texts are what is put into the three tabs.
type Texts struct {
	Flow     string `json:"flow"`
	L4       string `json:"l4"`
	Services string `json:"services"`
}

// Done is the line that answers an order.
type Done struct {
	Deed    Deed          `json:"deed"`
	At      clock.Instant `json:"at"`      // when it was done; of Await, when the page showed it
	Trouble []string      `json:"trouble"` // what the browser's console complained of meanwhile
	Files   []string      `json:"files,omitempty"`
	Err     string        `json:"error,omitempty"`
}

// Run opens a browser for the pages at url and carries out the orders that it
// reads, until there are no more.
func Run(ctx context.Context, url string, orders io.Reader, told io.Writer) error {
	b, err := open(ctx, url)
	if err != nil {
		return err
	}
	defer b.close()
	in, out := json.NewDecoder(orders), json.NewEncoder(told)
	for {
		var o Order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		done := b.obey(o)
		if err := out.Encode(done); err != nil {
			return fmt.Errorf("tell what was done: %w", err)
		}
	}
}

// obey carries out one order.
func (b *browser) obey(o Order) Done {
	done := Done{Deed: o.Deed}
	var err error
	switch o.Deed {
	case Login:
		err = b.login(o.Name, o.Password)
	case Walk:
		err = b.walk(o.Texts)
	case Await:
		err = b.await(o.Server)
	case Shoot:
		done.Files, err = b.shootAll(o.Dir)
	default:
		err = fmt.Errorf("unknown order %q", o.Deed)
	}
	done.At = clock.Now()
	done.Trouble = b.troubles()
	if err != nil {
		done.Err = err.Error()
	}
	return done
}
