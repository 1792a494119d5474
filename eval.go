package s4

import (
	"context"
	"io"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// ExitStatus is how a command ended.
type ExitStatus struct {
	Code   int // exit code, -1 if a signal ended it
	Signal int // that signal, or 0
}

// EvalOptions change how Eval runs a command. The zero value is good.
type EvalOptions struct {
	// NoVerifyInput lets the command's input be as good as the server's disk. Without
	// it the server compares the key with its checksum, which reads all of it, also if
	// the command does not.
	NoVerifyInput bool

	// Bash has the command run by bash also if it needs no shell: see JobOptions.Bash.
	Bash bool
}

func (o *EvalOptions) flags() (flags byte) {
	if o != nil && o.NoVerifyInput {
		flags |= wire.FlagNoVerify
	}
	if o != nil && o.Bash {
		flags |= wire.FlagBash
	}
	return flags
}

// Eval runs cmd, a script of bash, on the key's server, with the key as standard input. It copies
// standard output and standard error to stdout and stderr as they come. A command that
// fails is not an error: its exit code is in the ExitStatus. If ctx ends, the command is
// stopped. If ctx ends while a Write blocks, Eval waits for that Write, so that nothing
// is written after it has returned. opts may be nil.
//
// ErrChecksum says that the key is damaged, or the output was on its way: what was
// written to stdout and stderr must not be trusted.
func (c *Client) Eval(ctx context.Context, key, cmd string, stdout, stderr io.Writer, opts *EvalOptions) (ExitStatus, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return ExitStatus{}, usage("eval", key, err)
	}
	if err := wire.CheckCommand(cmd); err != nil {
		return ExitStatus{}, usage("eval", key, err)
	}
	server := c.cluster.Place(name)
	var status ExitStatus
	err = c.request(ctx, server, 0, xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, _ func() bool) error {
			return conn.Write(tag, opts.flags(), &wire.Eval{Key: name, Command: cmd})
		},
		Recv: func(conn *xfer.Conn, _ uint16) error {
			stop := conn.KeepAlive(nil) // a Write to stdout may block for hours
			defer stop()
			exit, err := recvOutput(conn, stdout, stderr, nil)
			if err == nil {
				status = ExitStatus{Code: int(exit.Code), Signal: int(exit.Signal)}
			}
			return err
		},
	})
	if err != nil {
		return ExitStatus{}, c.opError(ctx, "eval", key, server, err)
	}
	return status, nil
}

// recvOutput reads the answer to EVAL, or what a shell writes: the frames of two streams,
// in the order in which the command wrote. taken is told what TAKEN says; nil if there is
// to be none.
func recvOutput(conn *xfer.Conn, stdout, stderr io.Writer, taken func(uint64)) (*wire.Exit, error) {
	var out, errs hashWriter
	out.init(stdout)
	errs.init(stderr)
	for {
		h, err := conn.ReadHeader()
		if err != nil {
			return nil, err
		}
		switch h.Type {
		case wire.TypeData, wire.TypeStderr:
			s := &out
			if h.Type == wire.TypeStderr {
				s = &errs
			}
			if err := conn.ReadBytes(h, s); err != nil {
				conn.Close() // which makes the server stop the command
				return nil, err
			}
		default:
			m, err := conn.ReadMessage(h)
			if err != nil {
				return nil, err
			}
			switch m := m.(type) {
			case *wire.Taken:
				if taken != nil {
					taken(m.Bytes)
					continue
				}
			case *wire.Exit:
				if !out.matches(m.Stdout) || !errs.matches(m.Stderr) {
					return nil, wire.Errorf(wire.CodeChecksum, "the command's output was damaged on the way")
				}
				return m, nil
			case *wire.Error:
				if m.Code == wire.CodeChecksum && out.n+errs.n > 0 {
					m.Text = "what was written must not be trusted: " + m.Text
				}
				return nil, m
			}
			conn.Close()
			return nil, unexpected(m)
		}
	}
}

// hashWriter writes to w, and counts and hashes what it writes.
type hashWriter struct {
	w      io.Writer
	n      uint64
	digest xxhash.Digest
}

func (s *hashWriter) init(w io.Writer) {
	s.w = w
	s.digest.Reset()
}

func (s *hashWriter) Write(p []byte) (int, error) {
	s.n += uint64(len(p))
	_, _ = s.digest.Write(p)
	return s.w.Write(p)
}

func (s *hashWriter) matches(t wire.Trailer) bool {
	return s.n == t.Length && s.digest.Sum64() == t.Sum
}
