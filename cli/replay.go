package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nathants/s4"
	"github.com/nathants/s4/exec"
)

// replay runs the command of a task on this machine, in a directory of its own:
//
//	work/     where the command runs
//	input/    the keys it reads, by their paths
//	assets/   files that go along
//	tmp/      $TMPDIR
//	stdin     of a merge or batch: the paths of its files
//	stdout    of a shuffle: the names of its files
//	batch     $S4_BATCH, and output, where a batch writes to
//	command   $S4_COMMAND of a shell
type replay struct {
	client     *s4.Client
	job        s4.JobStatus
	in         s4.TaskInput
	command    string
	files      []s4.JobFile
	secretFile string // as the user gave it
	dir        string
	program    bool // one of files is one
}

func (r *replay) path(name string) string { return filepath.Join(r.dir, name) }

// batch reports whether the command takes batches of keys.
func (r *replay) batch() bool { return r.job.Options.Batch > 0 }

// merge reports whether it reads the paths of files.
func (r *replay) merge() bool { return s4.Verb(r.job.Verb) == s4.VerbMapFromN }

// local returns the path of a key's copy.
func (r *replay) local(key string) string {
	return filepath.Join(r.dir, "input", filepath.FromSlash(strings.TrimPrefix(key, s4.Scheme)))
}

// makeDir makes the directory. The caller calls remove.
func (r *replay) makeDir() error {
	dir, err := os.MkdirTemp("", "s4-replay-")
	if err != nil {
		return err
	}
	if r.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	for _, name := range []string{"work", "input", "assets", "tmp"} {
		if err := os.Mkdir(r.path(name), 0o700); err != nil {
			return errors.Join(err, r.remove())
		}
	}
	return nil
}

// remove kills what the command has left in the directory, and removes it.
func (r *replay) remove() error {
	_, err := exec.KillBelow(r.dir)
	return errors.Join(err, os.RemoveAll(r.dir))
}

// fetch fills the directory.
func (r *replay) fetch(ctx context.Context) error {
	var paths []string
	for _, key := range r.in.Keys {
		path := r.local(key)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if _, err := r.client.GetFile(ctx, key, path); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o444); err != nil { // as on the server
			return err
		}
		paths = append(paths, path)
	}
	for _, f := range r.files {
		if err := r.addFile(f); err != nil {
			return err
		}
	}
	texts := map[string]string{"command": r.command + "\n"}
	if r.merge() || r.batch() {
		texts["stdin"] = strings.Join(paths, "\n") + "\n"
	}
	if r.batch() {
		texts["batch"] = fmt.Sprintf("%s\t%s\t%s\n", r.in.Key, paths[0], r.path("output"))
	}
	for name, text := range texts {
		if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// addFile copies a file that goes along.
func (r *replay) addFile(file s4.JobFile) error {
	src, err := os.Open(file.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	fi, err := src.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", file.Path)
	}
	mode := fs.FileMode(0o444)
	if file.Exec || fi.Mode()&0o111 != 0 {
		mode, r.program = 0o555, true
	}
	dst, err := os.OpenFile(filepath.Join(r.path("assets"), filepath.Base(file.Path)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("two files have the name %s", filepath.Base(file.Path))
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// stdin is the path of the file that the command reads.
func (r *replay) stdin() string {
	if r.merge() || r.batch() {
		return r.path("stdin")
	}
	return r.local(r.in.Keys[0])
}

// environ returns the environment that the task has on its server, with the paths of here.
func (r *replay) environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "BASH_ENV", "PWD", "OLDPWD": // as servers do
		default:
			env = append(env, kv)
		}
	}
	secret := r.secretFile
	if secret == "" {
		secret = os.Getenv("S4_SECRET_FILE")
	}
	path := os.Getenv("PATH")
	if self, err := os.Executable(); err == nil {
		path = filepath.Dir(self) + string(os.PathListSeparator) + path
	}
	assets := ""
	if len(r.files) > 0 {
		assets = r.path("assets")
	}
	if r.program {
		path = assets + string(os.PathListSeparator) + path
	}
	cluster := r.client.Cluster()
	env = append(env,
		"LC_ALL=C",
		"PATH="+path,
		"S4_CONF_PATH="+absolute(cluster.Path),
		"S4_SECRET_FILE="+absolute(secret),
		fmt.Sprintf("S4_SERVER=%d", r.in.Server),
		fmt.Sprintf("S4_SERVERS=%d", len(cluster.Servers)),
		"S4_INDIR="+strings.Join(append([]string{r.job.Indir}, r.job.Options.MoreIndirs...), " "), "S4_OUTDIR="+r.job.Outdir,
		"S4_JOB="+r.job.ID, "TMPDIR="+r.path("tmp"), "S4_ASSETS="+assets)
	if r.batch() {
		return append(env, fmt.Sprintf("S4_TASK=%d", r.in.Number), "S4_BATCH="+r.path("batch"))
	}
	file := ""
	if !r.merge() {
		file = r.stdin()
	}
	return append(env, r.in.Env(file)...)
}

// absolute returns the absolute path of a file, of "" that.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		return abs
	}
	return path
}

// run runs the command. What it prints goes to stdout, unless output or named have it.
func (r *replay) run(ctx context.Context, stdout, stderr io.Writer) (res exec.Result, err error) {
	stdin, err := os.Open(r.stdin())
	if err != nil {
		return res, err
	}
	defer stdin.Close()
	if s4.Verb(r.job.Verb) == s4.VerbMapToN || r.batch() {
		stdout = nil // it is names, or dropped
	}
	out, flushOut, err := r.stream("stdout", stdout)
	if err != nil {
		return res, err
	}
	errs, flushErr, err := r.stream("stderr", stderr)
	if err != nil {
		out.Close()
		return res, err
	}
	c := exec.Cmd{Script: r.command, Dir: r.path("work"), Env: r.environ(), Stdin: stdin, Stdout: out, Stderr: errs, Timeout: r.job.Options.Timeout}
	if r.batch() {
		c.Args = []string{r.local(r.in.Keys[0])}
	}
	res, err = exec.Run(ctx, c)
	if res.TimedOut {
		_, _ = fmt.Fprintln(errs, exec.ExitText(res)) // its exit code does not tell
	}
	return res, errors.Join(err, flushOut(), flushErr())
}

// stream returns a file for a command to write to: w, if that is one, else a file whose
// content flush copies to w, unless that is nil.
func (r *replay) stream(name string, w io.Writer) (f *os.File, flush func() error, err error) {
	if f, ok := w.(*os.File); ok {
		return f, func() error { return nil }, nil
	}
	if f, err = os.OpenFile(r.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
		return nil, nil, err
	}
	return f, func() error {
		defer f.Close()
		if w == nil {
			return nil
		}
		_, err := io.Copy(w, io.NewSectionReader(f, 0, 1<<62))
		return err
	}, nil
}

// output returns what a command of batches has written for its key, or nil.
func (r *replay) output() (*os.File, error) {
	if !r.batch() {
		return nil, nil
	}
	f, err := os.Open(r.path("output"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the command has written no output for the key")
	}
	return f, err
}

// replayedFile is a file that a command of map-to-n has named.
type replayedFile struct {
	Name  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

// named returns the files that the command has named, as far as they are what a server
// would take.
func (r *replay) named() (list []replayedFile, err error) {
	f, err := os.Open(r.path("stdout"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name := lines.Text()
		if name == "" {
			continue
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.path("work"), name)
		}
		fi, err := os.Lstat(path)
		switch {
		case err != nil:
			return list, fmt.Errorf("the command named the file %q, which is not there", name)
		case !fi.Mode().IsRegular():
			return list, fmt.Errorf("the command named %q, which is no regular file", name)
		}
		list = append(list, replayedFile{Name: name, Bytes: fi.Size()})
	}
	return list, lines.Err()
}
