package s4

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// ShellOptions say what Shell opens.
type ShellOptions struct {
	// Server is the index of the server, of a shell without a key.
	Server int

	// Job is the ID of a job that is not waiting to begin. The shell has the environment
	// of the job's task that the key names, as JobTask.Key does: with the job's files,
	// while it runs or is suspended.
	Job string

	// Run runs the command of Job for that task in place of a shell, with the task's
	// standard input.
	Run bool

	// Terminal is what the shell's terminal is like. Without, it has none.
	Terminal *Terminal
}

// Terminal is what a shell's terminal is like.
type Terminal struct {
	Type    string // as in $TERM
	Size    TerminalSize
	Resized <-chan TerminalSize // has its new sizes; nil if it keeps its size
}

// TerminalSize is a terminal's size in characters.
type TerminalSize struct{ Columns, Rows uint16 }

// shellTag is the tag of the one request on a shell's connection.
const shellTag = 1

// shellRead is how many bytes of a shell's input are sent at once, at most.
const shellRead = 16 << 10

// Shell opens a shell of bash on the server of a key, in an empty directory of its own,
// with the environment of a command of Eval. The key may be "" for a shell on the server
// that opts names. What stdin has is its input, and what it writes is copied to stdout and
// stderr as it comes; on a terminal, to stdout. Shell returns when the shell has ended.
// Nothing that it has started outlives it. If ctx ends, or the connection is lost, the
// server kills it. opts may be nil.
//
// An error of stdin, other than io.EOF, ends the shell, and is returned. After the end, a
// Read of stdin that blocks is left alone.
func (c *Client) Shell(ctx context.Context, key string, stdin io.Reader, stdout, stderr io.Writer, opts *ShellOptions) (ExitStatus, error) {
	if opts == nil {
		opts = new(ShellOptions)
	}
	server, m, err := c.shellRequest(key, opts)
	if err != nil {
		return ExitStatus{}, usage("shell", key, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	status, err := c.shell(ctx, cancel, server, m, stdin, stdout, stderr, opts)
	if err != nil {
		return ExitStatus{}, c.opError(ctx, "shell", key, server, err)
	}
	return status, nil
}

// shellRequest makes the request, for the server whose index it returns.
func (c *Client) shellRequest(key string, opts *ShellOptions) (int, *wire.Shell, error) {
	m := new(wire.Shell)
	if opts.Job != "" {
		id, err := parseJobID(opts.Job)
		if err != nil {
			return 0, nil, err
		}
		m.Job = id
	}
	if t := opts.Terminal; t != nil {
		m.Term, m.Columns, m.Rows = cmp.Or(t.Type, "dumb"), t.Size.Columns, t.Size.Rows
		if len(m.Term) > wire.MaxName {
			return 0, nil, fmt.Errorf("the terminal's type has %d bytes, at most %d", len(m.Term), wire.MaxName)
		}
	}
	if key == "" {
		if opts.Server < 0 || opts.Server >= len(c.cluster.Servers) {
			return 0, nil, fmt.Errorf("there is no server %d: the cluster has 0 to %d", opts.Server, len(c.cluster.Servers)-1)
		}
		return opts.Server, m, nil
	}
	name, err := names.ParseKey(key)
	if err != nil {
		return 0, nil, err
	}
	m.Key = name
	return c.cluster.Place(name), m, nil
}

func (c *Client) shell(ctx context.Context, cancel context.CancelCauseFunc, server int, m *wire.Shell, stdin io.Reader, stdout, stderr io.Writer, opts *ShellOptions) (ExitStatus, error) {
	d := c.dialer(server)
	conn, err := d.Dial(ctx, wire.ChannelData)
	if err != nil {
		return ExitStatus{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	flags := byte(0)
	if opts.Run {
		flags = wire.FlagRun
	}
	if err := conn.Write(shellTag, flags, m); err != nil {
		return ExitStatus{}, err
	}
	answer, err := conn.ReadReply(shellTag)
	if err != nil {
		return ExitStatus{}, err
	}
	if answer.Type() != wire.TypeOK {
		return ExitStatus{}, unexpected(answer)
	}
	defer conn.KeepAlive(nil)()

	var wg sync.WaitGroup
	defer wg.Wait()
	in := &shellSender{conn: conn, room: make(chan struct{}, 1)}
	if !opts.Run {
		go func() { // see Shell: it may block in a Read
			if err := in.run(ctx, stdin); err != nil {
				cancel(err)
			}
		}()
	}
	if t := opts.Terminal; t != nil {
		open, stop := context.WithCancel(ctx)
		defer stop()
		wg.Go(func() { resize(open, conn, t.Resized) })
	}
	exit, err := recvOutput(conn, stdout, stderr, in.taken)
	conn.Close() // a write that is stuck ends, so that stop can be waited for
	if err != nil {
		return ExitStatus{}, err
	}
	return ExitStatus{Code: int(exit.Code), Signal: int(exit.Signal)}, nil
}

// resize tells the server of a terminal's sizes until ctx ends.
func resize(ctx context.Context, conn *xfer.Conn, sizes <-chan TerminalSize) {
	for {
		select {
		case size, ok := <-sizes:
			if !ok {
				return
			}
			// An error is found by who reads from the connection.
			_ = conn.Write(shellTag, 0, &wire.Window{Columns: size.Columns, Rows: size.Rows})
		case <-ctx.Done():
			return
		}
	}
}

// shellSender sends a shell's input, no more ahead than the server wants.
type shellSender struct {
	conn *xfer.Conn
	room chan struct{} // has a value when left has grown

	mu   sync.Mutex
	sent uint64 // guarded by mu
	told uint64 // by TAKEN; guarded by mu
}

// taken notes what TAKEN says.
func (s *shellSender) taken(total uint64) {
	s.mu.Lock()
	s.told = max(s.told, min(total, s.sent))
	s.mu.Unlock()
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// reserve takes up to n bytes of what may be sent, and waits until there are any.
func (s *shellSender) reserve(ctx context.Context, n int) (int, error) {
	for {
		s.mu.Lock()
		n := min(n, int(wire.MaxAhead-(s.sent-s.told)))
		s.sent += uint64(n)
		s.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-s.room:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// run sends what stdin has. Errors are those of stdin: others are found by who reads from
// the connection.
func (s *shellSender) run(ctx context.Context, stdin io.Reader) error {
	var sum xxhash.Digest
	sum.Reset()
	total := uint64(0)
	buf := make([]byte, shellRead)
	for {
		n, err := stdin.Read(buf)
		for p := buf[:n]; len(p) > 0; {
			n, rerr := s.reserve(ctx, len(p))
			if rerr != nil {
				return nil
			}
			_, _ = sum.Write(p[:n])
			total += uint64(n)
			if s.conn.WriteData(shellTag, wire.TypeData, p[:n]) != nil {
				return nil
			}
			p = p[n:]
		}
		if errors.Is(err, io.EOF) {
			_ = s.conn.Write(shellTag, 0, &wire.Trailer{Length: total, Sum: sum.Sum64()})
			return nil
		}
		if err != nil {
			return err
		}
	}
}
