package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/nathants/s4"
)

// leastInterval keeps "s4 top" from being a load itself.
const leastInterval = 100 * time.Millisecond

func (a *app) top() *cobra.Command {
	t := &top{interval: timeoutFlag(2 * time.Second)}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "show servers, jobs and running tasks as they change",
		Long: `Show on one screen, again every --interval, how servers are: health, task slots in
use and all, tasks that wait for one, pushes to other servers under way and how many
there may be, bytes of keys and shuffles that came and went since the look before, the
machine's load over a minute, memory that is free, the part of the disk that is used, and
keys. Below are the jobs that run, with their rate and when they will be done, and the tasks
that have run longest.

Keys: q quits. s sorts servers by their place in the cluster file, tasks, bytes, or disk.
Up and down, or k and j, pick a job whose tasks are shown; Escape shows those of all.

In a pipe or file it prints plain blocks, with an empty line after each, until it is
interrupted; -n N ends it after N of them.`,
		Example: `  s4 top
  s4 top --interval 10s
  s4 top -n 1
  s4 top --json -n 2 | tail -n 1`,
		Args: wantArgs(0, 0),
	}
	f := cmd.Flags()
	f.Var(&t.interval, "interval", "look again after `D`, at least 0.1s")
	f.IntVarP(&t.rounds, "rounds", "n", 0, "end after `N` looks, 0 for never")
	t.color.register(f)
	run := func(ctx context.Context, c *s4.Client, _ []string) error {
		switch {
		case time.Duration(t.interval) < leastInterval:
			return usagef("--interval %s: at least %s", t.interval.String(), leastInterval)
		case t.rounds < 0:
			return usagef("-n %d: a number of looks, or 0 to go on", t.rounds)
		}
		t.app, t.watch = a, topWatch{client: c}
		t.view.painter = t.color.painter(a.stdout)
		if out, ok := a.stdout.(*os.File); ok && !a.json && isTerminal(out) && os.Getenv("TERM") != "dumb" {
			return t.onScreen(ctx, out)
		}
		return unlessStuck(ctx, func() error { return t.print(ctx) })
	}
	cmd.RunE = a.run(run)
	return cmd
}

// top is one run of "s4 top".
type top struct {
	app      *app
	interval timeoutFlag
	rounds   int
	color    colorFlag
	watch    topWatch
	view     topView
}

// each looks at the cluster again and again, and passes on what it has found until
// the rounds are over, f fails or ctx ends.
func (t *top) each(ctx context.Context, f func(*topRound) error) error {
	for n := 1; ; n++ {
		r := t.watch.look(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := f(&r); err != nil || n == t.rounds {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(t.interval)):
		}
	}
}

// print prints every round as plain lines.
func (t *top) print(ctx context.Context) error {
	return t.each(ctx, func(r *topRound) error {
		if t.app.json {
			return output(t.app.line("", newTopObject(r)))
		}
		out := bufio.NewWriter(t.app.stdout)
		for _, line := range t.view.lines(r) {
			fmt.Fprintln(out, line)
		}
		fmt.Fprintln(out)
		return output(out.Flush())
	})
}

// onScreen shows every round on the whole screen of a terminal. The last of -n rounds
// is printed when the screen is as it was before.
func (t *top) onScreen(ctx context.Context, out *os.File) error {
	s, err := openScreen(ctx, t.app.stdin, out)
	if err != nil {
		return err
	}
	last, err := t.showAndClose(ctx, s)
	if last != nil && err == nil && t.rounds > 0 {
		t.view.width, _ = s.size()
		t.view.height = 0
		_, err = fmt.Fprintln(out, strings.Join(t.view.lines(last), "\n"))
	}
	return err
}

// showAndClose is show, and gives the terminal back whatever happens.
func (t *top) showAndClose(ctx context.Context, s *screen) (*topRound, error) {
	defer s.close()
	return t.show(ctx, s)
}

// show shows rounds, and does what keys say. It returns the last round if there are no
// more, and nil if the user quits.
func (t *top) show(ctx context.Context, s *screen) (*topRound, error) {
	ctx, cancel := context.WithCancel(ctx)
	rounds := make(chan *topRound)
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		ended <- t.each(ctx, func(r *topRound) error {
			select {
			case rounds <- r:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	last := new(topRound)
	if err := s.show([]string{"s4 top  asking the servers …"}); err != nil {
		return nil, output(err)
	}
	for {
		select {
		case last = <-rounds:
		case err := <-ended:
			return last, err
		case <-s.resized:
		case k := <-s.keys:
			if k == 'q' || k == 'Q' {
				return nil, nil
			}
			t.press(k, last)
		}
		if last.servers == nil {
			continue
		}
		if err := t.draw(s, last); err != nil {
			return nil, output(err)
		}
	}
}

// press does what a key says.
func (t *top) press(k key, r *topRound) {
	switch k {
	case 's', 'S':
		t.view.order = (t.view.order + 1) % topOrders
	case keyDown, 'j':
		t.view.pick(r, 1)
	case keyUp, 'k':
		t.view.pick(r, -1)
	case keyEscape:
		t.view.picked = ""
	}
}

// draw shows a round, and in the last line what keys do.
func (t *top) draw(s *screen, r *topRound) error {
	width, height := s.size()
	t.view.width, t.view.height = width, height-1
	lines := t.view.lines(r)
	lines = lines[:min(len(lines), height-1)]
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	keys := line{painter: t.view.painter, width: width}
	if s.in != nil {
		keys.add("", fmt.Sprintf("q quit  s sort by: %s  ↑↓ tasks of a job  Esc of all", t.view.order))
	}
	return s.show(append(lines, keys.String()))
}
