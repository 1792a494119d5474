package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// eval runs a command over a key and streams what it writes. It takes a task
// slot as a job's task does.
func (s *session) eval(h wire.Header, m *wire.Eval) error {
	tag, start := h.Tag, time.Now()
	err := s.node.checkOwner(m.Key)
	if err == nil {
		err = wire.CheckCommand(m.Command)
	}
	var o *object
	if err == nil {
		o, err = s.node.store.get(m.Key)
	}
	if err != nil {
		s.logRequest("eval", m.Key, 0, start, err)
		return s.reply(tag, err)
	}
	defer o.Close()
	if err := setBlocking(o.File); err != nil {
		return s.reply(tag, storeError(err, m.Key))
	}
	ctx, stop := s.watched()
	exit, err := s.runEval(ctx, h, o, m)
	stop()
	if s.conn.Broken() {
		s.logRequest("eval", m.Key, o.size, start, wire.Errorf(wire.CodeCanceled, "the client is gone"))
		return io.ErrUnexpectedEOF
	}
	s.logRequest("eval", m.Key, o.size, start, err)
	if err != nil {
		return s.reply(tag, err)
	}
	return s.conn.Write(tag, 0, exit)
}

func (s *session) runEval(ctx context.Context, h wire.Header, o *object, m *wire.Eval) (*wire.Exit, error) {
	n, tag := s.node, h.Tag
	j := &job{node: n} // to the scheduler, a job of one task
	release, err := n.takeSlot(ctx, j)
	if err != nil {
		return nil, err
	}
	defer release()
	// As in a job, see smallInput.
	verify := h.Flags&wire.FlagNoVerify == 0
	if verify && o.size <= smallInput {
		if err := verifyFile(ctx, int(o.Fd()), o.size, o.sum); err != nil {
			return nil, storeError(err, m.Key)
		}
	}
	// The sweep at start and stop looks below jobs/.
	dir := filepath.Join(n.store.path, sysDir, jobsDir, fmt.Sprintf("eval-%d", n.evals.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, storeError(n.store.serverFileError(err), m.Key)
	}
	defer func() {
		if err := removeAll(dir); err != nil {
			n.log.Error("clean up eval", zap.Error(err))
		}
	}()
	if err := n.cfg.Confinement.give(dir); err != nil {
		return nil, storeError(err, m.Key)
	}
	out, err := s.newPump(tag, wire.TypeData)
	if err != nil {
		return nil, err
	}
	errs, err := s.newPump(tag, wire.TypeStderr)
	if err != nil {
		out.close()
		return nil, err
	}
	c := exec.Cmd{
		Bash:   n.bash,
		Script: m.Command,
		Dir:    dir,
		Env:    append(n.keyEnv(m.Key), "TMPDIR="+dir),
		Stdin:  o.File,
		Stdout: out.w,
		Stderr: errs.w,
	}
	if h.Flags&wire.FlagBash == 0 {
		c.Pipeline = exec.NewPipeline(c.Script, c.Env)
	}
	n.cfg.Confinement.apply(&c)
	res, err := exec.Run(ctx, c)
	n.observeEval(res, err)
	if res.OverMemory > 0 {
		_, _ = fmt.Fprintln(errs.w, exec.ExitText(res)) // its exit code does not tell
	}
	out.close()
	errs.close()
	release()
	if err == nil && verify && o.size > smallInput {
		err = storeError(verifyFile(ctx, int(o.Fd()), o.size, o.sum), m.Key)
	}
	if err != nil {
		return nil, err
	}
	return &wire.Exit{Code: int32(res.ExitCode), Signal: byte(res.Signal), Stdout: out.trailer(), Stderr: errs.trailer()}, nil
}

// keyEnv returns the environment of a command that is about one key and of no job, but
// for TMPDIR.
func (n *Node) keyEnv(key string) []string {
	return append(n.env[:len(n.env):len(n.env)],
		"filename="+filepath.Base(key), "S4_KEY=s4://"+key, "S4_FILE="+n.store.file(key))
}

// pump copies one output stream of a command to the connection.
type pump struct {
	r, w   *os.File
	wg     sync.WaitGroup
	n      uint64
	digest xxhash.Digest
}

func (s *session) newPump(tag uint16, t wire.Type) (*pump, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return s.startPump(r, w, tag, t), nil
}

// startPump makes a pump of a pipe, or of a terminal's two sides.
func (s *session) startPump(r, w *os.File, tag uint16, t wire.Type) *pump {
	p := &pump{r: r, w: w}
	p.digest.Reset()
	p.wg.Go(func() {
		send := func(b []byte) error {
			p.n += uint64(len(b))
			_, _ = p.digest.Write(b)
			return s.conn.WriteData(tag, t, b)
		}
		err := xfer.Copy(r, send)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = p.rest(send)
		}
		if err != nil {
			// Nobody reads the output: the command ends by SIGPIPE, or because
			// the connection is lost.
			r.Close()
		}
	})
	return p
}

// close ends the stream after the command and its process group have ended. All that
// they wrote is in the pipe by then. close does not wait for the end of the pipe,
// because a process that has left the group may hold it open for ever. It may be called
// more than once.
func (p *pump) close() {
	p.w.Close()
	_ = p.r.SetReadDeadline(time.Now()) // fails if r is closed already
	p.wg.Wait()
	p.r.Close()
}

// rest sends what is in the pipe now.
func (p *pump) rest(send func([]byte) error) error {
	raw, err := p.r.SyscallConn()
	if err != nil {
		return err
	}
	if err := p.r.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	left := len(buf) // replaced by the size of the pipe, if that is larger
	for left > 0 {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			if size, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && left == len(buf) {
				left = max(left, size)
			}
			n, _ = unix.Read(int(fd), buf) // it does not block
			return true
		})
		if err != nil || n <= 0 {
			return err
		}
		if err := send(buf[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func (p *pump) trailer() wire.Trailer {
	return wire.Trailer{Length: p.n, Sum: p.digest.Sum64()}
}
