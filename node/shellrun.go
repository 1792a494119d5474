package node

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/nathants/s4/exec"
	"github.com/nathants/s4/wire"
)

// maxShells is how many shells of clients a server has at once. They hold no task slot:
// one that is idle must not keep a job waiting. Each costs a thread, a bash and a terminal,
// of which Linux has 4096 (pty(7), /proc/sys/kernel/pty/max).
const maxShells = 32

// shellRun is a shell of a client, or the run of a job's command for one task.
type shellRun struct {
	node  *Node
	env   []string
	dir   string         // its working directory, or empty if there is none yet
	job   *job           // whose command is run, or nil
	task  int            // of job
	term  *exec.Terminal // nil if the client has none
	stdin *os.File       // of a shell without a terminal
	input shellInput
	undo  []func() // what close does, the last first
}

// newShellRun prepares what a client has asked for. close must be called, unless there is
// an error.
func (n *Node) newShellRun(ctx context.Context, h wire.Header, m *wire.Shell) (*shellRun, error) {
	r := &shellRun{node: n}
	if err := r.prepare(ctx, h.Flags&wire.FlagRun != 0, m); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *shellRun) prepare(ctx context.Context, runs bool, m *wire.Shell) (err error) {
	n := r.node
	switch {
	case n.ctx.Err() != nil:
		return errShutdown
	case m.Job != 0 && m.Key == "":
		return wire.Errorf(wire.CodeBadRequest, "of a job's tasks, one must be named by its key")
	case runs && (m.Job == 0 || m.Term != ""):
		return wire.Errorf(wire.CodeBadRequest, "only the command of a job is run, and without a terminal")
	case strings.IndexByte(m.Term, 0) >= 0:
		return wire.Errorf(wire.CodeBadRequest, "the type of a terminal has no zero byte")
	}
	if m.Key != "" {
		if err := n.checkOwner(m.Key); err != nil {
			return err
		}
	}
	if r.env, err = r.environ(ctx, m); err != nil {
		return err
	}
	if !runs {
		r.job = nil // its environment was all that was wanted
		r.undo = append(r.undo, func() { n.shells.Add(-1) })
		if n.shells.Add(1) > maxShells {
			return wire.Errorf(wire.CodeTooLarge, "%d shells are open there, and no more are at once", maxShells)
		}
	}
	if err := r.makeDir(); err != nil {
		return storeError(err, m.Key)
	}
	r.env = append(r.env, "TMPDIR="+r.dir)
	switch {
	case runs:
	case m.Term != "":
		// The prompt is expanded each time, but not what it expands to. An empty HISTFILE
		// leaves no history in the home directory (bash(1), HISTORY).
		r.env = append(r.env, "TERM="+m.Term, "HISTFILE=", `PS1=[${S4_KEY:-server $S4_SERVER} \W]\$ `)
		if r.term, err = exec.OpenTerminal(m.Columns, m.Rows); err != nil {
			return err
		}
		r.undo = append(r.undo, func() { r.term.Close() })
		r.input.to, r.input.last = r.term.Master, []byte{endOfInput}
		r.input.close = func() {}
	default:
		to := (*os.File)(nil)
		if r.stdin, to, err = os.Pipe(); err != nil {
			return err
		}
		r.undo = append(r.undo, func() { r.stdin.Close(); to.Close() })
		r.input.to, r.input.close = to, func() { to.Close() }
		return n.cfg.Confinement.openTo(r.stdin)
	}
	return nil
}

// endOfInput is the character that ends the input of a terminal (termios(3), VEOF).
const endOfInput = 4

// environ returns the variables of the shell or command, but for TMPDIR. With a job, it
// also sets r.job.
func (r *shellRun) environ(ctx context.Context, m *wire.Shell) ([]string, error) {
	n := r.node
	switch {
	case m.Job != 0:
		j, task, err := n.taskOf(ctx, m.Job, m.Key)
		if err != nil {
			return nil, err
		}
		r.undo = append(r.undo, func() { j.cancel(nil) })
		r.job, r.task = j, task
		if j.env, err = j.jobEnv(j.listAssets()); err != nil {
			return nil, err
		}
		keys, _ := j.inputs(task)
		return j.taskEnv(task, keys), nil
	case m.Key == "":
		return n.env[:len(n.env):len(n.env)], nil
	}
	o, err := n.store.get(m.Key)
	if err != nil {
		return nil, err
	}
	return n.keyEnv(m.Key), o.Close()
}

// taskOf returns a job that is over, suspended or running, so that one of its tasks can be
// run again outside of it, and the number of the task that is named by a key.
func (n *Node) taskOf(ctx context.Context, id uint64, key string) (*job, int, error) {
	info, err := n.jobInfo(id)
	if err != nil {
		return nil, 0, err
	}
	if live := n.job(id); live != nil && !live.begun.Load() {
		return nil, 0, wire.Errorf(wire.CodeNoJob, "job %016x has not begun", id)
	}
	if info.Job.Batch > 0 {
		return nil, 0, wire.Errorf(wire.CodeBadRequest, "the job's command takes batches of keys")
	}
	switch {
	case info.Job.Options&wire.JobManifest != 0:
		return nil, 0, wire.Errorf(wire.CodeBadRequest, "the job's tasks have read no keys, but records of a manifest, which are gone")
	case info.Job.Options&wire.JobKeys != 0 && info.Job.Verb == wire.VerbMapFromN:
		return nil, 0, wire.Errorf(wire.CodeBadRequest, "the job merged the keys of a list, which is not kept")
	case info.Job.Options&wire.JobSecrets != 0:
		return nil, 0, wire.Errorf(wire.CodeBadRequest, "the job's command needs secret variables, which are not kept")
	}
	in, err := jobInput(&info.Job)
	if err != nil {
		return nil, 0, err
	}
	j := n.makeJob(&info.Job, in, n.store.stageOf(id), info.State)
	j.cancel(nil)
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	if err := j.findKeys(); err != nil {
		j.cancel(nil)
		return nil, 0, err
	}
	all := func(string) (bool, error) { return false, nil }
	if info.Job.Verb == wire.VerbMapFromN {
		err = j.tasks.group(all)
	} else {
		err = j.tasks.pick(all)
	}
	for i := 0; err == nil && i < j.tasks.len(); i++ {
		if j.taskKey(i) == key {
			return j, i, nil
		}
	}
	j.cancel(nil)
	if err == nil {
		err = &wire.Error{Code: wire.CodeNotFound, Key: key, Text: "it names no task of the job, or no input of it is there any more"}
	}
	return nil, 0, err
}

// makeDir makes the working directory. The sweep at start and stop looks below jobs/.
func (r *shellRun) makeDir() error {
	n := r.node
	dir := filepath.Join(n.store.path, sysDir, jobsDir, fmt.Sprintf("shell-%d", n.evals.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return n.store.serverFileError(err)
	}
	r.dir = dir
	r.undo = append(r.undo, func() {
		// What has left the session, but works there.
		if _, err := exec.KillBelow(dir); err != nil {
			n.log.Error("clean up shell", zap.Error(err))
		}
		if err := removeAll(dir); err != nil {
			n.log.Error("clean up shell", zap.Error(err))
		}
	})
	return n.cfg.Confinement.give(dir)
}

// close removes and closes all that is left. It may be called more than once.
func (r *shellRun) close() {
	for i := len(r.undo) - 1; i >= 0; i-- {
		r.undo[i]()
	}
	r.undo = nil
}

// run runs the shell or the command, and sends what it writes. When it returns, nothing
// of it is left.
func (r *shellRun) run(ctx context.Context, s *session, tag uint16) (*wire.Exit, error) {
	defer r.close()
	if r.job != nil {
		return r.runTask(ctx, s, tag)
	}
	c := exec.Cmd{Shell: true, Session: true}
	if r.stdin != nil {
		c.Stdin = r.stdin
	}
	r.input.taken = func(total uint64) {
		_ = s.conn.Write(tag, 0, &wire.Taken{Bytes: total}) // an error ends the connection, and so the shell
	}
	r.input.start()
	exit, err := r.exec(ctx, s, tag, c)
	r.input.stop()
	return exit, err
}

// runTask runs the job's command for the task, in a slot as any task.
func (r *shellRun) runTask(ctx context.Context, s *session, tag uint16) (*wire.Exit, error) {
	j := r.job
	r.input.start() // refuses all
	release, err := r.node.takeSlot(ctx, j)
	if err != nil {
		return nil, err
	}
	defer release()
	keys, _ := j.inputs(r.task)
	stdin, read, err := j.open(r.task, keys, &wire.Task{Key: j.taskKey(r.task)})
	if stdin != nil {
		defer stdin.Close()
	}
	defer read.close()
	if err != nil {
		return nil, err
	}
	c := exec.Cmd{Script: j.msg.Command, Stdin: stdin, Timeout: time.Duration(min(j.msg.Timeout, math.MaxInt64))}
	if !j.has(wire.JobBash) {
		c.Pipeline = exec.NewPipeline(c.Script, r.env)
	}
	exit, err := r.exec(ctx, s, tag, c)
	if err == nil {
		err = read.verify(nil)
	}
	return exit, err
}

// exec runs c in the directory and the environment.
func (r *shellRun) exec(ctx context.Context, s *session, tag uint16, c exec.Cmd) (*wire.Exit, error) {
	var pumps []*pump
	defer func() {
		for _, p := range pumps {
			p.close()
		}
	}()
	if r.term != nil {
		pumps = append(pumps, s.startPump(r.term.Master, r.term.Slave, tag, wire.TypeData))
		c.Stdin, c.Stdout, c.Stderr = r.term.Slave, r.term.Slave, r.term.Slave
	} else {
		for _, t := range []wire.Type{wire.TypeData, wire.TypeStderr} {
			p, err := s.newPump(tag, t)
			if err != nil {
				return nil, err
			}
			pumps = append(pumps, p)
		}
		c.Stdout, c.Stderr = pumps[0].w, pumps[1].w
	}
	c.Bash, c.Dir, c.Env = r.node.bash, r.dir, r.env
	r.node.cfg.Confinement.apply(&c)
	res, err := exec.Run(ctx, c)
	if res.OverMemory > 0 || res.TimedOut {
		_, _ = fmt.Fprintln(c.Stderr, exec.ExitText(res)) // its exit code does not tell
	}
	for _, p := range pumps {
		p.close()
	}
	if err != nil {
		return nil, err
	}
	exit := &wire.Exit{Code: int32(res.ExitCode), Signal: byte(res.Signal), Stdout: pumps[0].trailer(), Stderr: wire.Trailer{Sum: xxhash.Sum64(nil)}}
	if len(pumps) > 1 {
		exit.Stderr = pumps[1].trailer()
	}
	return exit, nil
}
