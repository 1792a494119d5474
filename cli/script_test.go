package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/server"
	"github.com/nathants/s4/cli/ui"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// TestMain makes the test binary be s4 and s4-server, too, so that scripts run
// real processes without a build of their own.
func TestMain(m *testing.M) {
	testscript.Main(leakCheck{m}, map[string]func(){
		"s4": func() {
			os.Exit(cli.Main(signals(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
		"s4-ui": func() {
			pages := cli.Pages{Open: ui.Open, New: func(ctx context.Context, c *s4.Client, host string, exposed bool) (cli.Page, error) {
				return ui.New(ctx, c, ui.Options{Host: host, Exposed: exposed})
			}}
			os.Exit(cli.MainUI(signals(), pages, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
		"s4-server": func() {
			os.Exit(server.Main(signals(), os.Args[1:], os.Stdout, os.Stderr))
		},
	})
}

// signals is what the programs' mains do with signals.
func signals() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}

// leakCheck fails the run if a test leaves a process, or a goroutine of a
// server, behind.
type leakCheck struct{ m *testing.M }

func (l leakCheck) Run() int {
	// Orphans come to this process and not to init.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "prctl:", err)
		return 1
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // see setup; for s4 in tasks
	code := l.m.Run()
	if left := leftovers(); left != "" {
		fmt.Fprintln(os.Stderr, "left behind:", left)
		return max(code, 1)
	}
	return code
}

// leftovers says what the tests left behind, "" for nothing.
func leftovers() string {
	for naps := 0; naps < 200; { // 2 s for what was killed to be gone
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR, pid > 0: // a zombie is fine, however many there are
			continue
		case err != syscall.ECHILD:
			time.Sleep(10 * time.Millisecond)
			naps++
			continue
		}
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if strings.Contains(stacks, "s4/node.(") {
			return "a goroutine of a server:\n" + stacks
		}
		return ""
	}
	out, _ := exec.Command("ps", "--ppid", strconv.Itoa(os.Getpid()), "-o", "pid,stat,args").CombinedOutput()
	return "child processes:\n" + string(out)
}

// TestScript runs the scripts in testdata/script. Each has, besides the
// commands of testscript and of script commands below:
//
//	s4, s4-server    the programs
//	$S4_CONF_PATH    of a cluster of three servers of its own, in the test's process
//	$DATA            its data directory; server I keeps its keys in $DATA/I
//	$HOME            an empty directory
//	[root], [big]    conditions: the tests run as root; $S4_TEST_BIG is set
func TestScript(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/script/*.txtar")
	for _, path := range scripts {
		if fi, err := os.Stat(path); err != nil || fi.Size() == 0 {
			t.Errorf("%s tests nothing (%v)", path, err) // and would pass
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		ContinueOnError:    os.Getenv("S4_GOON") != "",
		Setup:              setup,
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "big":
				return os.Getenv("S4_TEST_BIG") != "", nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"fails":    fails,
			"retry":    retry,
			"genfile":  genfile,
			"samefile": samefile,
			"owner":    owner,
			"freeport": freeport,
			"mount":    mount,
			"waitgone": waitgone,
			"idle":     idle,
			"told":     told,
		},
	})
}

func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o777); err != nil {
		return err
	}
	data := filepath.Join(env.WorkDir, "cluster")
	l, err := node.StartLocal(data, 3, 0, node.Config{Version: s4.Release})
	if err != nil {
		return err
	}
	env.Defer(func() {
		// A script that fails waits for its background commands and interrupts
		// those alone: a shell's children, it would wait for for ever.
		killWith("WORK=" + env.WorkDir)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Shutdown(ctx); err != nil {
			env.T().Fatal(err)
		}
	})
	env.Setenv("HOME", home)
	env.Setenv("DATA", data)
	env.Setenv("S4_CONF_PATH", l.Cluster.Path)
	env.Setenv("TZ", "UTC")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else every program sleeps a second with -race
	return nil
}

// killWith kills the processes that have a variable, as NAME=value, in the
// environment they were started with: those of one script.
func killWith(variable string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		b, err := os.ReadFile(f)
		pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && perr == nil && slices.Contains(strings.Split(string(b), "\x00"), variable) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
	}
}

// exits CODE CMD ARG... runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD ARG...")
	}
	if got := run(ts, args[1:]); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// fails CODE PATTERN CMD ARG... is exits for a command that must say why in
// one line on stderr, which the regular expression matches from end to end,
// and nothing on stdout.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: fails CODE PATTERN CMD ARG...")
	}
	exits(ts, false, append(args[:1:1], args[2:]...))
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout has %q", out)
	}
	text := ts.ReadFile("stderr")
	line, ended := strings.CutSuffix(text, "\n")
	if !ended || strings.Contains(line, "\n") {
		ts.Fatalf("stderr is not one line: %q", text)
	}
	ok, err := regexp.MatchString("^(?:"+args[1]+")$", line)
	ts.Check(err)
	if !ok {
		ts.Fatalf("stderr does not match %s", args[1])
	}
}

func run(ts *testscript.TestScript, args []string) (code int) {
	err := ts.Exec(args[0], args[1:]...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	}
	ts.Fatalf("%v", err)
	return -1
}

// retry CMD ARG... runs a command again and again until it succeeds, for at
// most 10 s. With ! until it fails.
func retry(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if (err == nil) != neg {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("not within 10 s: %v", err)
		}
	}
}

// genfile NAME SIZE writes SIZE bytes that no compressor shortens, always the
// same for a size.
func genfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: genfile NAME SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	var seed [32]byte
	copy(seed[:], args[1])
	_, err = io.CopyN(f, rand.NewChaCha8(seed), size)
	ts.Check(errors.Join(err, f.Close()))
}

// samefile A B compares two files of any size. cmp prints what differs; this
// does not.
func samefile(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: samefile A B")
	}
	err := exec.Command("cmp", ts.MkAbs(args[0]), ts.MkAbs(args[1])).Run()
	if (err == nil) == neg {
		ts.Fatalf("compare %s and %s: %v", args[0], args[1], err)
	}
}

// owner KEY sets $OWNER to the index of the server that must have the key.
func owner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: owner KEY")
	}
	c, err := s4.LoadCluster(ts.Getenv("S4_CONF_PATH"))
	ts.Check(err)
	ts.Setenv("OWNER", strconv.Itoa(c.Place(args[0])))
}

// freeport VAR... sets each variable to a port that nobody uses.
func freeport(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		ts.Setenv(name, strconv.Itoa(nodetest.FreePort()))
	}
}

// mount TYPE DIR [OPTIONS] mounts a file system for the rest of the script.
func mount(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mount TYPE DIR [OPTIONS]")
	}
	dir := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(dir, 0o777))
	var flags uintptr
	opts := strings.Join(args[2:], ",")
	if opts == "ro" {
		flags, opts = unix.MS_RDONLY, ""
	}
	if err := unix.Mount("none", dir, args[0], flags, opts); err != nil {
		ts.Fatalf("mount %s: %v", args[0], err)
	}
	ts.Defer(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			ts.Logf("umount %s: %v", dir, err)
		}
	})
}

// waitgone TEXT waits until no process that the script or its servers have
// started has TEXT in its command line, but for at most 15 s. With ! until there is one
// whose command line it is: s4 map has a task's command in its own before there is a
// task.
func waitgone(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] waitgone TEXT")
	}
	for end := time.Now().Add(15 * time.Second); running(ts.Getenv("WORK"), args[0], neg) != neg; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("there is still a process with %q in its command line: %v", args[0], !neg)
		}
	}
}

// running looks for a process with text in its command line, or as all of it, and
// work in its environment: in $WORK, or, of a task, in $S4_CONF_PATH.
func running(work, text string, all bool) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, err := os.ReadFile(f)
		words := strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
		if err != nil || !strings.Contains(words, text) || all && words != text {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
		if err == nil && strings.Contains(string(env), work+"/") {
			return true
		}
	}
	return false
}

// idle [DIR] waits until the servers with their data directories in DIR,
// $DATA if it is not given, have nothing left of any job, command or upload,
// but for at most 5 s.
func idle(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.Getenv("DATA")
	if len(args) == 1 {
		dir = ts.MkAbs(args[0])
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left, err := filepath.Glob(dir + "/*/_s4/*/*")
		ts.Check(err)
		left = slices.DeleteFunc(left, func(name string) bool { // the records of jobs that are over
			return slices.Contains([]string{"history", "committed", "shuffled"}, filepath.Base(filepath.Dir(name)))
		})
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("left behind: %v", left)
		}
	}
}

// TestRace lets two clients write one key, again and again: exactly one
// wins, the other is told, and the key has the winner's bytes.
func TestRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := node.StartLocal(dir, 3, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	const rounds, writers = 200, 2
	won := make([]int, writers)
	for round := range rounds {
		key := fmt.Sprintf("s4://race/%03d", round)
		var (
			start = make(chan struct{})
			codes [writers]int
			errs  [writers]strings.Builder
			wg    sync.WaitGroup
		)
		for w := range writers {
			wg.Go(func() {
				text := strings.Repeat(strconv.Itoa(w), 1000*(round%7))
				<-start
				codes[w] = cli.Main(t.Context(), []string{"-c", l.Cluster.Path, "cp", "-", key}, strings.NewReader(text), io.Discard, &errs[w])
			})
		}
		close(start)
		wg.Wait()
		winner := slices.Index(codes[:], 0)
		if winner < 0 || codes[1-winner] != 1 {
			t.Fatalf("round %d: exit codes %v\n%s%s", round, codes, errs[0].String(), errs[1].String())
		}
		won[winner]++
		if text := errs[1-winner].String(); !strings.HasPrefix(text, "s4: cp "+key+": the key exists on ") || strings.Count(text, "\n") != 1 {
			t.Errorf("round %d: the loser was told %q", round, text)
		}
		if text := errs[winner].String(); text != "" {
			t.Errorf("round %d: the winner was told %q", round, text)
		}
		var got strings.Builder
		if code := cli.Main(t.Context(), []string{"-c", l.Cluster.Path, "cp", key, "-"}, nil, &got, io.Discard); code != 0 {
			t.Fatalf("round %d: get: exit code %d", round, code)
		}
		if want := strings.Repeat(strconv.Itoa(winner), 1000*(round%7)); got.String() != want {
			t.Fatalf("round %d: the key has not the winner's %d bytes but %d others", round, len(want), got.Len())
		}
	}
	t.Logf("won by each: %v", won)
}
