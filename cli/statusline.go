package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// How often progress is shown.
const (
	liveEvery  = 200 * time.Millisecond // a line that is rewritten
	plainFirst = 10 * time.Second       // lines in a file or pipe
	plainEvery = 30 * time.Second
)

// statusLine says how far something is: on a terminal in one line that is rewritten,
// elsewhere in a line now and then. Its methods may be called by any goroutine. It has no
// colors, so that NO_COLOR changes nothing.
type statusLine struct {
	out   io.Writer                  // nil to show nothing
	width func() int                 // of the terminal; nil if out is not a terminal
	now   func() time.Time           // the clock
	text  func(now time.Time) string // makes the line, or "" for none; mu is held
	every time.Duration              // between two lines in a file or pipe

	mu    sync.Mutex
	due   time.Time // of the next line; guarded by mu
	shown string    // the text in the terminal's line; guarded by mu

	once  sync.Once
	ended chan struct{}
	wg    sync.WaitGroup
}

func newStatusLine() statusLine {
	return statusLine{now: time.Now, every: plainEvery, ended: make(chan struct{})}
}

// writeTo makes w show the line. A terminal that cannot erase is as a file.
func (s *statusLine) writeTo(w io.Writer) {
	s.out = w
	if f, ok := w.(*os.File); ok && isTerminal(f) && os.Getenv("TERM") != "dumb" {
		s.width = func() int { return terminalWidth(f) }
	}
}

// from sets after which time there is a first line, on a terminal and elsewhere.
func (s *statusLine) from(live, plain time.Duration) {
	s.due = s.now().Add(plain)
	if s.width != nil {
		s.due = s.now().Add(live)
	}
}

// run shows lines until stop is called.
func (s *statusLine) run() {
	s.wg.Go(func() {
		tick := time.NewTicker(liveEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.ended:
				return
			case <-tick.C:
				s.tick()
			}
		}
	})
}

// tick shows a line if it is time for one.
func (s *statusLine) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.out == nil || now.Before(s.due) {
		return
	}
	line := s.text(now)
	if line == "" {
		return
	}
	if s.width == nil {
		s.due = now.Add(s.every)
		fmt.Fprintln(s.out, line)
		return
	}
	s.due = now.Add(liveEvery)
	// Leave the last column free: some terminals wrap to the next line after it.
	line = cutWidth(line, s.width()-1)
	if line != s.shown {
		fmt.Fprint(s.out, "\r"+line+eraseRest)
		s.shown = line
	}
}

// eraseRest makes a terminal erase from the cursor to the end of its line.
const eraseRest = "\x1b[K"

// erase makes the terminal's line empty; mu is held.
func (s *statusLine) erase() {
	if s.shown != "" {
		fmt.Fprint(s.out, "\r"+eraseRest)
		s.shown = ""
	}
}

// aside erases the line and calls f, which may write to the terminal.
func (s *statusLine) aside(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	f()
}

// stop ends the lines and leaves an empty one. It may be called again.
func (s *statusLine) stop() {
	s.once.Do(func() { close(s.ended) })
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}
