package cli

import (
	"context"
	"errors"

	"github.com/nathants/s4"
)

// eachKey calls f for the keys that args stand for, in order: a key as it is, and for a
// pattern those it matches, sorted. It prints the error of a key, goes on with the
// others, and returns errReported in the end. An error of standard output, or an
// interrupt, ends it.
func (a *app) eachKey(ctx context.Context, c *s4.Client, verb string, choose *chooser, args []string, f func(key string) error) error {
	failed := failures{a: a, verb: verb}
	do := func(key string) error {
		a.subject = key
		return failed.after(ctx, key, a.missing(ctx, c, f(key)))
	}
	for _, name := range args {
		if !choose.glob(name) {
			if err := do(name); err != nil {
				return err
			}
			continue
		}
		some, dirs := false, false
		for e, err := range c.Find(ctx, name, choose.find(false)) {
			if err == nil && e.Dir {
				dirs = true
				continue
			}
			some = true
			if err != nil {
				failed.add(name, err)
				break
			}
			if err := do(s4.Scheme + e.Name); err != nil {
				return err
			}
		}
		switch {
		case !some && dirs:
			failed.add(name, errors.New("it matches directories of keys only"))
		case !some:
			failed.add(name, errors.New("no key matches"))
		}
	}
	return failed.err()
}

// outputError is an error of standard output, after which a verb need not go on.
type outputError struct{ error }

func (e *outputError) Unwrap() error { return e.error }

// output marks an error of standard output.
func output(err error) error {
	if err == nil {
		return nil
	}
	return &outputError{err}
}
