package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/nathants/s4"
)

// userTerminal is the terminal of the user of a shell.
type userTerminal struct {
	kind    string // $TERM
	size    s4.TerminalSize
	resized <-chan s4.TerminalSize // has each new size
}

// onTerminal calls f with standard input's terminal in raw mode: what is typed reaches the
// shell as it is, Ctrl-C too. f gets nil if standard input is none. However f ends, by a
// panic as well, the terminal is as it was. A signal ends f's context.
func (a *app) onTerminal(ctx context.Context, f func(context.Context, *userTerminal) error) error {
	in, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(in) {
		return f(ctx, nil)
	}
	// Ctrl-C and SIGTERM end ctx anyway. These two would end the process as it is.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	defer func() { _ = term.Restore(int(in.Fd()), before) }() // it may be gone

	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	t := &userTerminal{kind: os.Getenv("TERM"), size: terminalSize(in)}
	resized, done, ended := make(chan s4.TerminalSize), make(chan struct{}), make(chan struct{})
	t.resized = resized
	go func() {
		defer close(ended)
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			select {
			case resized <- terminalSize(in):
			case <-done:
				return
			}
		}
	}()
	defer func() { close(done); <-ended }()
	return f(ctx, t)
}

// terminalSize returns the size of a terminal, which may be 0 if it does not say.
func terminalSize(f *os.File) s4.TerminalSize {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return s4.TerminalSize{}
	}
	return s4.TerminalSize{Columns: uint16(columns), Rows: uint16(rows)}
}
