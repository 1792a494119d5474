package node

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/wire"
)

// shell opens a shell for the client, or runs a job's command for one task, and goes on
// until that has ended and the client has closed the connection: nothing else comes after
// it.
//
//	session's goroutine   reads DATA, WINDOW ──► shellInput ──► terminal or pipe
//	a goroutine           exec.Run, then EXIT
//	pumps                 terminal or pipes ──► DATA, STDERR
func (s *session) shell(h wire.Header, m *wire.Shell) error {
	start := time.Now()
	ctx, unwatch := s.watched()
	defer unwatch()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run, err := s.node.newShellRun(ctx, h, m)
	if err != nil {
		s.logRequest("shell", m.Key, 0, start, err)
		return s.reply(h.Tag, err)
	}
	defer run.close()
	if err := s.reply(h.Tag, nil); err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		exit, err := run.run(ctx, s, h.Tag)
		s.logRequest("shell", m.Key, 0, start, err)
		switch {
		case errors.As(context.Cause(ctx), new(lostShell)):
			return // the reader says why, if there is anybody to hear it
		case err != nil:
			err = s.reply(h.Tag, err)
		default:
			err = s.conn.Write(h.Tag, 0, exit)
		}
		if err == nil {
			_ = s.conn.CloseWrite() // or it is gone, which the reader finds
		}
	}()
	if err = s.readShell(run); err != io.EOF {
		cancel(lostShell{err})
	}
	<-over
	return err
}

// lostShell is the cause of the end of a shell whose client is gone, or has broken the
// protocol.
type lostShell struct{ error }

func (e lostShell) Unwrap() error { return e.error }

// readShell takes what the client of a shell sends. It returns io.EOF when the client has
// said all and closed its side, at the earliest after TRAILER.
func (s *session) readShell(run *shellRun) error {
	var digest xxhash.Digest
	digest.Reset()
	total, ended := uint64(0), false
	take := writeFunc(func(p []byte) (int, error) {
		total += uint64(len(p))
		_, _ = digest.Write(p)
		return len(p), run.input.add(p)
	})
	for {
		h, err := s.conn.ReadHeader()
		switch {
		case err == io.EOF && !ended:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		if h.Type == wire.TypeData && !ended {
			err := s.conn.ReadBytes(h, take)
			var we *wire.Error
			if errors.As(err, &we) {
				return we // not as an error of where it is written to
			}
			if err != nil {
				return err
			}
			continue
		}
		m, err := s.conn.ReadMessage(h)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Window:
			if run.term == nil {
				return wire.Errorf(wire.CodeBadRequest, "the shell has no terminal whose size could change")
			}
			_ = run.term.Resize(m.Columns, m.Rows) // fails when the shell has ended
		case *wire.Trailer:
			if m.Length != total || m.Sum != digest.Sum64() {
				return wire.Errorf(wire.CodeChecksum, "the shell's input was damaged on the way")
			}
			ended = true
			run.input.end()
		default:
			return wire.Errorf(wire.CodeBadRequest, "a %s frame stands in the input of a shell", h.Type)
		}
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }
