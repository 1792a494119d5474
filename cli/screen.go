package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Escape sequences, see console_codes(4) and, for the alternate screen, xterm's
// "Control Sequences".
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // and hide the cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	eraseBelow  = "\x1b[J"
)

// key is a key that a user has pressed: a letter, or one of these.
type key rune

const (
	keyUp     key = -1 - iota // arrows
	keyDown                   //
	keyEscape                 //
)

// screen is a terminal whose whole screen a program takes, and gives back as it was.
type screen struct {
	out     *os.File
	in      *os.File // nil if nobody can press a key
	saved   *term.State
	keys    chan key
	resized chan os.Signal
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// openScreen takes the screen of a terminal. Keys come from in, if that is a terminal, too.
// The caller calls close, which gives all back.
func openScreen(ctx context.Context, in any, out *os.File) (*screen, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &screen{out: out, keys: make(chan key), resized: make(chan os.Signal, 1), stop: stop}
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		s.in = f
		if err := s.startKeys(ctx); err != nil {
			s.restore()
			stop()
			return nil, fmt.Errorf("read keys: %w", err)
		}
	}
	signal.Notify(s.resized, unix.SIGWINCH)
	if _, err := out.WriteString(enterScreen); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// startKeys has keys come one by one, unseen. Ctrl-C is a signal as before; the keys for
// signals that would leave the terminal as it is now are off: termios(3).
func (s *screen) startKeys(ctx context.Context) (err error) {
	fd := int(s.in.Fd())
	if s.saved, err = term.GetState(fd); err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	t.Cc[unix.VSUSP], t.Cc[unix.VQUIT] = 0, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return err
	}
	wake, end, err := os.Pipe()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { end.Close() })
	s.wg.Go(func() {
		defer wake.Close()
		s.readKeys(ctx, fd, int(wake.Fd()))
	})
	return nil
}

// readKeys passes keys on until the other end of wake is closed.
func (s *screen) readKeys(ctx context.Context, fd, wake int) {
	buf := make([]byte, 64)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil || fds[1].Revents != 0 || fds[0].Revents&unix.POLLIN == 0 {
			return
		}
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		for _, k := range parseKeys(string(buf[:n])) {
			select {
			case s.keys <- k:
			case <-ctx.Done():
				return
			}
		}
	}
}

// parseKeys returns the keys that a terminal has sent. It leaves out those that this
// program has no name for.
func parseKeys(text string) []key {
	var keys []key
	for text != "" {
		seq, isSeq := strings.CutPrefix(text, "\x1b[")
		if !isSeq {
			seq, isSeq = strings.CutPrefix(text, "\x1bO") // in application mode
		}
		if !isSeq {
			r := rune(text[0])
			if text = text[1:]; r == '\x1b' {
				keys = append(keys, keyEscape)
			} else {
				keys = append(keys, key(r))
			}
			continue
		}
		// Parameters, and a last byte from @ to ~: ECMA-48, 5.4.
		end := strings.IndexFunc(seq, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			break
		}
		switch seq[end] {
		case 'A':
			keys = append(keys, keyUp)
		case 'B':
			keys = append(keys, keyDown)
		}
		text = seq[end+1:]
	}
	return keys
}

// size returns the columns and lines of the screen.
func (s *screen) size() (width, height int) {
	if w, h, err := term.GetSize(int(s.out.Fd())); err == nil && w > 0 && h > 0 {
		return w, h
	}
	return 80, 24
}

// show replaces what is on the screen in one write, so that it does not flicker.
func (s *screen) show(lines []string) error {
	_, height := s.size()
	lines = lines[:min(len(lines), height)]
	_, err := s.out.WriteString(toTop + strings.Join(lines, eraseRest+"\r\n") + eraseRest + eraseBelow)
	return err
}

// close gives the terminal back as it was, and waits for the goroutine that reads keys.
func (s *screen) close() {
	s.stop()
	s.wg.Wait()
	signal.Stop(s.resized)
	_, _ = s.out.WriteString(leaveScreen) // of a terminal that is gone
	s.restore()
}

func (s *screen) restore() {
	if s.saved != nil {
		_ = term.Restore(int(s.in.Fd()), s.saved)
	}
}
