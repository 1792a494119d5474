package node_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// openShell is a shell whose user is a test.
type openShell struct {
	t      *testing.T
	keys   *io.PipeWriter // what is typed
	sizes  chan s4.TerminalSize
	hangUp context.CancelFunc
	done   chan error
	exit   s4.ExitStatus // once done

	mu     sync.Mutex
	screen bytes.Buffer // guarded by mu
}

// Write takes what comes on the screen.
func (sh *openShell) Write(p []byte) (int, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.screen.Write(p)
}

// startShell opens a shell, on a terminal unless opts say something.
func startShell(t *testing.T, client *s4.Client, key string, opts *s4.ShellOptions) *openShell {
	t.Helper()
	keys, typed := io.Pipe()
	sh := &openShell{t: t, keys: typed, sizes: make(chan s4.TerminalSize), done: make(chan error, 1)}
	if opts == nil {
		opts = &s4.ShellOptions{Terminal: &s4.Terminal{Type: "dumb", Size: s4.TerminalSize{Columns: 80, Rows: 24}, Resized: sh.sizes}}
	}
	ctx, cancel := context.WithCancel(guarded(t))
	sh.hangUp = cancel
	go func() {
		var err error
		sh.exit, err = client.Shell(ctx, key, keys, sh, sh, opts)
		keys.CloseWithError(errors.New("the shell has ended"))
		sh.done <- err
	}()
	t.Cleanup(func() { typed.Close() })
	return sh
}

func (sh *openShell) typed(text string) {
	sh.t.Helper()
	if _, err := io.WriteString(sh.keys, text); err != nil {
		sh.t.Error(err)
	}
}

func (sh *openShell) see(text string) {
	sh.t.Helper()
	nodetest.Eventually(sh.t, text+" is on the screen", func() bool { return strings.Contains(sh.seen(), text) })
}

func (sh *openShell) seen() string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.screen.String()
}

// wait waits for the end, which must be that of the shell itself.
func (sh *openShell) wait(code int) {
	sh.t.Helper()
	if err := <-sh.done; err != nil || sh.exit != (s4.ExitStatus{Code: code}) {
		sh.t.Errorf("ended with %v, %+v; on the screen is %q", err, sh.exit, sh.seen())
	}
}

// A shell has the key's environment and a terminal, and nothing is left of it.
func TestShell(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{MaxCPUJobs: 1})
	put(t, client, "b/1_k", []byte("hello\n"))
	sh := startShell(t, client, "s4://b/1_k", nil)
	sh.see(`[s4://b/1_k shell-1]`)
	sh.typed("cat $S4_FILE; ls -A; echo $S4_KEY,$filename,$S4_SERVER,$TERM$((1)); stty size\n")
	sh.see("hello\r\ns4://b/1_k,1_k,1,dumb1\r\n24 80\r\n")
	sh.sizes <- s4.TerminalSize{Columns: 132, Rows: 50}
	sh.typed("until [ \"$(stty size)\" = '50 132' ]; do sleep 0.01; done; echo now $((50 + 82))\n")
	sh.see("now 132")
	// An idle shell takes no slot.
	if exit, err := client.Eval(guarded(t), "s4://b/1_k", "cat", io.Discard, io.Discard, nil); err != nil || exit.Code != 0 {
		t.Errorf("eval: %v, %v", exit, err)
	}
	mark := marker()
	sh.typed("touch file; sleep " + mark + " & nohup sleep " + mark + " >/dev/null 2>&1 & disown -a; (setsid sleep " + mark + " &)\n")
	nodetest.Eventually(t, "the jobs run", func() bool { return len(nodetest.Processes(mark)) == 3 })
	sh.typed("exit 7\n")
	sh.wait(7)
	noProcess(t, mark)
	clean(t, dataDirs(c), "b/1_k")
}

// Without a terminal, bash reads a script, and its two outputs are apart.
func TestShellScript(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{})
	put(t, client, "b/1_k", []byte("hello\n"))
	script := "false; wc -c <$S4_FILE\necho oh >&2\nread -r next\nthis line\necho $next; exit 300\n"
	var out, errs bytes.Buffer
	exit, err := client.Shell(guarded(t), "s4://b/1_k", strings.NewReader(script), &out, &errs, new(s4.ShellOptions))
	if err != nil || exit.Code != 300&255 || out.String() != "6\nthis line\n" || errs.String() != "oh\n" {
		t.Errorf("%v, %+v, %q, %q", err, exit, &out, &errs)
	}
	// Without a key; the end of the input is that of the shell.
	out.Reset()
	exit, err = client.Shell(guarded(t), "", strings.NewReader(`echo "$S4_SERVER ${S4_KEY-none}"; kill -TERM $$`), &out, &errs, &s4.ShellOptions{Server: 2})
	if err != nil || exit.Signal != 15 || out.String() != "2 none\n" {
		t.Errorf("%v, %+v, %q", err, exit, &out)
	}
	// More than may be ahead, to a program that takes its time, comes whole.
	long := noise("shell", 5*wire.MaxAhead/2)
	out.Reset()
	in := io.MultiReader(strings.NewReader("sleep 0.2; sha1sum; exit\n"), bytes.NewReader(long))
	if _, err = client.Shell(guarded(t), "s4://b/1_k", in, &out, &errs, new(s4.ShellOptions)); err != nil || out.String() != sha1Line(long) {
		t.Errorf("%v, %q", err, &out)
	}
	for key, want := range map[string]error{"s4://b/none": s4.ErrNotFound, "s4://b": s4.ErrBadKey} {
		if _, err := client.Shell(guarded(t), key, strings.NewReader(""), io.Discard, io.Discard, new(s4.ShellOptions)); !errors.Is(err, want) {
			t.Errorf("%s: %v", key, err)
		}
	}
	clean(t, dataDirs(c), "b/1_k")
}

// The user hangs up.
func TestShellClientGone(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{})
	put(t, client, "b/1_k", []byte("x"))
	for _, opts := range []*s4.ShellOptions{nil, {}} {
		mark := marker()
		sh := startShell(t, client, "s4://b/1_k", opts)
		sh.typed("trap '' HUP TERM; set -m; sleep " + mark + " & sleep " + mark + "\n")
		nodetest.Eventually(t, "the jobs run", func() bool { return len(nodetest.Processes(mark)) == 2 })
		sh.typed(strings.Repeat("input that nobody takes\n", 1000))
		sh.hangUp()
		if err := <-sh.done; !errors.Is(err, s4.ErrCanceled) {
			t.Errorf("told: %v", err)
		}
		noProcess(t, mark)
	}
	clean(t, dataDirs(c), "b/1_k")
}

// A client that says nothing any more is gone; one that pings is not, however long it is
// idle.
func TestShellSilence(t *testing.T) {
	t.Parallel()
	p := startProto(t, time.Second)
	idle, silent := p.open(wire.ChannelData), p.open(wire.ChannelData)
	defer idle.Close()
	defer silent.Close()
	mark := marker()
	silent.send(1, 0, &wire.Shell{Term: "dumb"})
	silent.want(1, wire.TypeOK)
	silent.data(1, "sleep "+mark+"\n")
	idle.send(1, 0, &wire.Shell{})
	idle.want(1, wire.TypeOK)
	defer pings(idle)()
	stopSilent := pings(silent)
	nodetest.Eventually(t, "the command runs", func() bool { return len(nodetest.Processes(mark)) > 0 })
	stopSilent()
	nodetest.Eventually(t, "the silent client's shell is killed", func() bool { return len(nodetest.Processes(mark)) == 0 })
	for { // what was on the screen, and then why
		h, body, err := silent.next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Type == wire.TypeData || h.Type == wire.TypePing {
			continue
		}
		if m, err := wire.Decode(h.Type, body); err != nil || codeOf(m.(*wire.Error)) != wire.CodeTimeout {
			t.Errorf("the silent client is told %+v, %v", m, err)
		}
		break
	}
	idle.data(1, "echo still here\n")
	idle.want(1, wire.TypeData)
	idle.send(1, 0, &wire.Trailer{Length: 16, Sum: xxhash.Sum64String("echo still here\n")})
	if exit := idle.want(1, wire.TypeExit).(*wire.Exit); exit.Code != 0 || exit.Stdout.Length != 11 {
		t.Errorf("%+v", exit)
	}
	p.wantFiles()
}

// No more than so many shells are open at once, and all end with the server.
func TestShellShutdown(t *testing.T) {
	t.Parallel()
	c, client := start(t, node.Config{})
	put(t, client, "b/1_k", []byte("x"))
	const most = 32
	mark := marker()
	var shells []*openShell
	for range most {
		sh := startShell(t, client, "s4://b/1_k", &s4.ShellOptions{})
		sh.typed("sleep " + mark + "\n")
		shells = append(shells, sh)
	}
	nodetest.Eventually(t, "the shells are open", func() bool { return len(nodetest.Processes(mark)) == most })
	_, err := client.Shell(guarded(t), "s4://b/1_k", strings.NewReader(""), io.Discard, io.Discard, new(s4.ShellOptions))
	if codeOf(err) != wire.CodeTooLarge || !strings.Contains(fmt.Sprint(err), "32 shells are open") {
		t.Errorf("one more: %v", err)
	}
	if err := c.Shutdown(guarded(t)); err != nil {
		t.Error(err)
	}
	if left := nodetest.Processes(mark); len(left) > 0 {
		t.Errorf("processes %v outlived the server", left)
	}
	for _, sh := range shells {
		if err := <-sh.done; !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("told: %v", err)
		}
	}
	clean(t, dataDirs(c), "b/1_k")
}

// A hundred shells leave no descriptor, process, goroutine or file.
func TestShellsLeaveNothing(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/1_k", []byte("x"))
	check := baseline(t, 0)
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := descriptors()
	mark := marker()
	for range 10 {
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				opts := new(s4.ShellOptions)
				if i%2 == 0 {
					opts.Terminal = &s4.Terminal{Type: "dumb"}
				}
				if exit, err := client.Shell(guarded(t), "s4://b/1_k", strings.NewReader("set -m; sleep "+mark+" & exit 3\n"), io.Discard, io.Discard, opts); err != nil || exit.Code != 3 {
					t.Errorf("%v, %+v", err, exit)
				}
			})
		}
		wg.Wait()
	}
	noProcess(t, mark)
	client.Close()
	nodetest.Eventually(t, "no descriptor is left", func() bool { return descriptors() <= before })
	check()
	clean(t, dataDirs(c), "b/1_k")
}

// What a client sends is checked.
func TestShellProtocol(t *testing.T) {
	t.Parallel()
	p := startProto(t, 0)
	for name, test := range map[string]struct {
		shell wire.Shell
		send  func(c *protoConn)
		code  wire.Code
	}{
		"window without a terminal": {wire.Shell{}, func(c *protoConn) { c.send(1, 0, &wire.Window{}) }, wire.CodeBadRequest},
		"another request":           {wire.Shell{}, func(c *protoConn) { c.send(1, 0, &wire.Get{Key: "b/k"}) }, wire.CodeBadRequest},
		"too much ahead":            {wire.Shell{}, func(c *protoConn) { c.data(1, "sleep 1000\n"+strings.Repeat("x", 4*wire.MaxAhead)) }, wire.CodeTooLarge},
		"another length":            {wire.Shell{}, func(c *protoConn) { c.data(1, "sleep 1000\n"); c.send(1, 0, &wire.Trailer{Length: 1}) }, wire.CodeChecksum},
		"another checksum":          {wire.Shell{}, func(c *protoConn) { c.data(1, "sleep 1000\n"); c.send(1, 0, &wire.Trailer{Length: 11}) }, wire.CodeChecksum},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.open(wire.ChannelData)
			defer c.Close()
			c.send(1, 0, &test.shell)
			c.want(1, wire.TypeOK)
			test.send(c)
			c.wantError(1, test.code)
			c.wantEnd()
		})
	}
	for name, test := range map[string]struct {
		flags byte
		shell wire.Shell
		code  wire.Code
	}{
		"no such key":       {0, wire.Shell{Key: "b/none"}, wire.CodeNotFound},
		"no such job":       {0, wire.Shell{Key: "b/none", Job: 1}, wire.CodeNoJob},
		"a job without key": {0, wire.Shell{Job: 1}, wire.CodeBadRequest},
		"run without job":   {wire.FlagRun, wire.Shell{Key: "b/none"}, wire.CodeBadRequest},
		"run on a terminal": {wire.FlagRun, wire.Shell{Key: "b/none", Job: 1, Term: "x"}, wire.CodeBadRequest},
		"a bad key":         {0, wire.Shell{Key: "b/../k"}, wire.CodeBadKey},
		"a zero byte":       {0, wire.Shell{Term: "a\x00b"}, wire.CodeBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			c := p.open(wire.ChannelData)
			defer c.Close()
			c.send(1, test.flags, &test.shell)
			c.wantError(1, test.code)
			c.send(2, 0, &wire.Get{Key: "b/none"}) // the connection goes on
			c.wantError(2, wire.CodeNotFound)
		})
	}
	p.wantFiles()
}

// sha1Line is what sha1sum prints of its standard input.
func sha1Line(b []byte) string { return fmt.Sprintf("%x  -\n", sha1.Sum(b)) }

// pings has a client ping all the time, until the function that it returns is called.
func pings(c *protoConn) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		frame := wire.AppendFrame(nil, 0, 0, wire.Empty{T: wire.TypePing})
		for {
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if _, err := c.Write(frame); err != nil {
				return // whoever reads next sees why
			}
		}
	}()
	stop = sync.OnceFunc(func() { close(end); <-done })
	c.t.Cleanup(stop)
	return stop
}
