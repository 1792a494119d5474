package cli

import (
	"context"
	"errors"
	"time"

	"github.com/nathants/s4"
)

// missingTime is how long a verb looks why a key does not exist, before it says so.
const missingTime = time.Second

// missing returns err, or if it is that of a key which does not exist, but is a directory of
// keys, an error that says so, with what -r does if the verb has it. What is in the way of a
// file that a key is copied to is found before the server is asked: such a key may not
// exist, too.
func (a *app) missing(ctx context.Context, c *s4.Client, err error) error {
	var e *s4.Error
	if !errors.As(err, &e) || ctx.Err() != nil || e.Key == "" {
		return err
	}
	hint := ""
	switch e.Op {
	case "rm", "get", "stat", "eval":
	default:
		return err
	}
	if a.mayRecurse {
		hint = ": use -r for all below it"
	}
	ctx, cancel := context.WithTimeout(ctx, missingTime)
	defer cancel()
	switch {
	case e.Kind == s4.ErrNotFound:
	case e.Kind != s4.ErrStorage || e.Op != "get":
		return err
	default:
		if _, serr := c.Stat(ctx, e.Key); !errors.Is(serr, s4.ErrNotFound) {
			return err
		}
	}
	for _, lerr := range c.List(ctx, e.Key+"/", false) {
		if lerr == nil {
			dir := *e
			dir.Kind, dir.Server, dir.Text = s4.ErrNotFound, "", "it is a directory of keys, not a key"+hint
			return &dir
		}
		break
	}
	return err
}
