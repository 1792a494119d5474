package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Peer is another system, known by its command lines alone.
type Peer struct {
	Name     string
	Template string // a bash script with {op}, {src} and {dst}
}

// parsePeer reads NAME=TEMPLATE.
func parsePeer(text string) (Peer, error) {
	name, template, ok := strings.Cut(text, "=")
	if !ok || !regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`).MatchString(name) {
		return Peer{}, errors.New("want NAME=TEMPLATE, with a name of letters, digits, _, . and -")
	}
	if name == "s4" || name == "bare" {
		return Peer{}, fmt.Errorf("the name %s is taken", name)
	}
	for _, p := range []string{"{src}", "{dst}"} {
		if !strings.Contains(template, p) {
			return Peer{}, fmt.Errorf("the template of %s has no %s", name, p)
		}
	}
	return Peer{Name: name, Template: template}, nil
}

// command returns the peer's command for an operation: put, get or rm. It runs
// in the peer's own directory.
func (p Peer) command(e *Env, op, src, dst string) Command {
	c := Script(strings.NewReplacer("{op}", op, "{src}", quote(src), "{dst}", quote(dst)).Replace(p.Template))
	c.Env = nil
	c.Dir = filepath.Join(e.Dir, "peer-"+p.Name)
	return c
}

// quote makes one word of a shell of s.
func quote(s string) string { return "'" + escape(s) + "'" }

// escape makes s part of one word in single quotes.
func escape(s string) string { return strings.ReplaceAll(s, `'`, `'\''`) }

// side is the peer's side of a put or a get of the source.
func (p Peer) side(ctx context.Context, e *Env, op string) (Side, error) {
	if err := os.MkdirAll(p.command(e, "", "", "").Dir, 0o700); err != nil {
		return Side{}, err
	}
	name := filepath.Base(e.Dir) + "-" + op // of the remote side, that no other run uses
	local := filepath.Join(e.RowDir, "peer-"+op+"-"+p.Name)
	put, get := p.command(e, "put", e.Source.Path, name), p.command(e, "get", name, local)
	// If the template knows no rm, its failure is the next put's to tell.
	remove := func(ctx context.Context) error {
		_, _, err := e.run(ctx, p.command(e, "rm", name, name))
		if ctx.Err() == nil {
			err = nil
		}
		return err
	}
	side := Side{Name: p.Name, Command: get, Out: local, Want: treeOfFile(e.Source.Sum), Bytes: e.Source.Size, Keys: 1}
	if op == "put" {
		side.Command, side.Out, side.Clean = put, "", remove
		side.Check = func(ctx context.Context, _ []byte) error {
			_, _, err := e.run(ctx, get)
			if err == nil {
				err = checkTree(ctx, side.Want, local)
			}
			return errors.Join(err, os.RemoveAll(local))
		}
		return side, nil
	}
	if err := remove(ctx); err != nil {
		return Side{}, err
	}
	// Also when the run was interrupted.
	e.AfterRow(func() error { return remove(context.WithoutCancel(ctx)) })
	if _, _, err := e.run(ctx, put); err != nil {
		return Side{}, fmt.Errorf("%s: put what is to be got: %w", p.Name, err)
	}
	return side, nil
}

// peers are the sides of all of them.
func (e *Env) peers(ctx context.Context, op string) (list []Side, err error) {
	for _, p := range e.Peers {
		side, err := p.side(ctx, e, op)
		if err != nil {
			return nil, err
		}
		list = append(list, side)
	}
	return list, nil
}
