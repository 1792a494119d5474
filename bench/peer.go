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
		return Peer{}, fmt.Errorf("--peer %q: want NAME=TEMPLATE, with a name of letters, digits, _, . and -", text)
	}
	if name == "s4" || name == "bare" {
		return Peer{}, fmt.Errorf("--peer %s: the name is taken", name)
	}
	for _, p := range []string{"{src}", "{dst}"} {
		if !strings.Contains(template, p) {
			return Peer{}, fmt.Errorf("--peer %s: the template has no %s", name, p)
		}
	}
	return Peer{Name: name, Template: template}, nil
}

// command returns the peer's command for an operation: put, get or rm. It runs
// in the peer's own directory.
func (p Peer) command(e *Env, op, src, dst string) (Command, error) {
	dir := filepath.Join(e.Dir, "peer-"+p.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Command{}, err
	}
	c := Script(strings.NewReplacer("{op}", op, "{src}", quote(src), "{dst}", quote(dst)).Replace(p.Template))
	c.Dir = dir
	return c, nil
}

// quote makes one word of a shell of s.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// remove removes a remote name. If the template knows no rm, its failure is
// the next put's to tell.
func (p Peer) remove(ctx context.Context, e *Env, name string) error {
	c, err := p.command(e, "rm", name, name)
	if err != nil {
		return err
	}
	if _, _, err := e.run(ctx, c); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// put is the peer's side of a put of the source.
func (p Peer) put(e *Env, src *Source) (Side, error) {
	name := e.peerName("put")
	c, err := p.command(e, "put", src.Path, name)
	if err != nil {
		return Side{}, err
	}
	back := filepath.Join(e.RowDir, "peer-back")
	return Side{
		Name:    p.Name,
		Command: c,
		Bytes:   src.Size,
		Keys:    1,
		Check: func(ctx context.Context, _ []byte) error {
			get, err := p.command(e, "get", name, back)
			if err != nil {
				return err
			}
			if _, _, err := e.run(ctx, get); err != nil {
				return err
			}
			return errors.Join(checkFile(back, src.Sum), os.Remove(back))
		},
		Clean: func(ctx context.Context) error { return p.remove(ctx, e, name) },
	}, nil
}

// get is the peer's side of a get of the source, which it puts first.
func (p Peer) get(ctx context.Context, e *Env, src *Source) (Side, error) {
	name := e.peerName("get")
	if err := p.remove(ctx, e, name); err != nil {
		return Side{}, err
	}
	put, err := p.command(e, "put", src.Path, name)
	if err != nil {
		return Side{}, err
	}
	if _, _, err := e.run(ctx, put); err != nil {
		return Side{}, fmt.Errorf("%s: put what is to be got: %w", p.Name, err)
	}
	// Also when the run was interrupted.
	e.AfterRow(func() error { return p.remove(context.WithoutCancel(ctx), e, name) })
	out := filepath.Join(e.RowDir, "peer-get-"+p.Name)
	get, err := p.command(e, "get", name, out)
	if err != nil {
		return Side{}, err
	}
	return Side{
		Name:    p.Name,
		Command: get,
		Bytes:   src.Size,
		Keys:    1,
		Check:   func(context.Context, []byte) error { return checkFile(out, src.Sum) },
		Clean:   func(context.Context) error { return os.RemoveAll(out) },
	}, nil
}

// peerName returns a name for a peer's remote side that no other run uses.
func (e *Env) peerName(op string) string { return filepath.Base(e.Dir) + "-" + op }
