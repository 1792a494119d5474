package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
	"github.com/nathants/s4/wire"
)

// process is a server in a process of its own.
type process struct {
	cmd *exec.Cmd
	dir string
}

// cluster of processes; server i has the data directory dir/i.
type processes struct {
	t       testing.TB
	cluster *s4.Cluster
	dir     string
	servers []*process
}

func startProcesses(t testing.TB, n int) *processes {
	t.Helper()
	p := &processes{t: t, dir: t.TempDir(), servers: make([]*process, n)}
	var list strings.Builder
	for range n {
		fmt.Fprintf(&list, "127.0.0.1:%d\n", nodetest.FreePort())
	}
	conf := filepath.Join(p.dir, "s4.conf")
	if err := os.WriteFile(conf, []byte(list.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.cluster, err = s4.LoadCluster(conf); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i := range p.servers {
			p.kill(i)
		}
	})
	return p
}

// start starts server i and waits until it serves.
func (p *processes) start(i int) {
	p.t.Helper()
	dir := filepath.Join(p.dir, strconv.Itoa(i))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+strconv.Itoa(i), "S4_CONF_PATH="+p.cluster.Path, "S4_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.servers[i] = &process{cmd, dir}
	// It must answer: what accepts may be the killed one's socket, of which a child
	// that was about to become a command still holds a copy.
	nodetest.Eventually(p.t, "the server answers", func() bool {
		c, err := dialServer(guarded(p.t), p.cluster, i, wire.ChannelControl)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// kill ends server i with SIGKILL.
func (p *processes) kill(i int) {
	if s := p.servers[i]; s != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		p.servers[i] = nil
	}
}

// A server is killed while several clients write, again and again. Whatever
// was acknowledged is whole afterwards, whatever is visible is whole, and
// nothing else is on the disk.
func TestKilledInMidPut(t *testing.T) {
	t.Parallel()
	p := startProcesses(t, 1)
	acked := map[string]int{} // key to size
	var mu sync.Mutex
	sizes := []int{0, 100, 70 << 10, 300 << 10, 2 << 20}
	client := nodetest.NewClient(t, p.cluster, nil)
	attempts := map[string]int{}
	for round := range 12 { // twice each of six moments
		p.start(0)
		var wg sync.WaitGroup
		started := make(chan struct{}, 1000)
		for w := range 6 {
			wg.Go(func() {
				for i := 0; ; i++ {
					n := sizes[(w+i+round)%len(sizes)]
					key := fmt.Sprintf("b/r%d/w%d/d%d/k%d", round, w, i, i)
					if i%3 == 0 {
						key = fmt.Sprintf("b/all/r%dw%di%d", round, w, i)
					}
					mu.Lock()
					attempts[key] = n
					mu.Unlock()
					select {
					case started <- struct{}{}:
					default:
					}
					if err := client.Put(guarded(t), "s4://"+key, bytes.NewReader(noise(key, n)), int64(n)); err != nil {
						if !errors.Is(err, s4.ErrUnavailable) {
							t.Errorf("put %s: %v", key, err)
						}
						return
					}
					mu.Lock()
					acked[key] = n
					mu.Unlock()
				}
			})
		}
		for range 8 + 5*round%30 {
			<-started
		}
		p.kill(0)
		wg.Wait()
	}
	p.start(0)
	visible := map[string]bool{}
	for e, err := range client.List(guarded(t), "s4://b/", true) {
		if err != nil {
			t.Fatal(err)
		}
		visible[e.Name] = true
		n, known := attempts[e.Name]
		if !known || e.Size != int64(n) {
			t.Errorf("%s of %d bytes is visible, %d were written", e.Name, e.Size, n)
			continue
		}
		var b bytes.Buffer
		if _, err := client.Get(guarded(t), "s4://"+e.Name, &b); err != nil || !bytes.Equal(b.Bytes(), noise(e.Name, n)) {
			t.Errorf("%s is not whole: %v", e.Name, err)
		}
	}
	for key := range acked {
		if !visible[key] {
			t.Errorf("%s was acknowledged and is gone", key)
		}
	}
	if len(acked) < 20 {
		t.Errorf("only %d puts were acknowledged", len(acked))
	}
	for _, f := range nodetest.Files(t, filepath.Join(p.dir, "0")) {
		if !visible[f] {
			t.Errorf("left on disk: %s", f)
		}
	}
}

// A server is killed while it runs a job, and started again: the job fails,
// and nothing of it is left, not even the processes of its tasks.
func TestKilledInMidJob(t *testing.T) {
	p := startProcesses(t, 2)
	p.start(0)
	p.start(1)
	client := nodetest.NewClient(t, p.cluster, nil)
	names := [2][]string{}
	for i := range 4 {
		key := fmt.Sprintf("b/in/%d", i)
		put(t, client, key, []byte("x"))
		names[i%2] = append(names[i%2], key)
	}
	dirs := []string{filepath.Join(p.dir, "0"), filepath.Join(p.dir, "1")}
	for verb, run := range jobVerbs {
		mark := marker()
		cmd := fmt.Sprintf(`if [ $S4_TASK = 0 ]; then for i in 0_a 1_a; do echo $i > $i; echo $i; done; exit 0; fi; echo x > f; sleep %s & (sleep %s); echo f`, mark, mark)
		done := make(chan error, 1)
		go func() {
			_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", cmd, nil)
			done <- err
		}()
		nodetest.Eventually(t, "tasks run on both", func() bool { return len(nodetest.Processes(mark)) >= 4 })
		p.kill(1)
		if err := <-done; !errors.Is(err, s4.ErrUnavailable) || !strings.Contains(err.Error(), p.cluster.Servers[1].String()) {
			t.Errorf("%s: %v", verb, err)
		}
		clean(t, dirs[:1], names[0]...)
		p.start(1)
		noProcess(t, mark)
		clean(t, dirs[1:], names[1]...)
	}
	if got := list(t, client, "b/"); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

// SIGTERM ends a server within its time, with all that it runs.
func TestTerminated(t *testing.T) {
	p := startProcesses(t, 1)
	p.start(0)
	client := nodetest.NewClient(t, p.cluster, nil)
	put(t, client, "b/k", []byte("x"))
	mark := marker()
	done := make(chan error, 1)
	go func() {
		_, err := client.Eval(guarded(t), "s4://b/k", "trap '' TERM; sleep "+mark+" & sleep "+mark, io.Discard, io.Discard, nil)
		done <- err
	}()
	awaitProcess(t, mark)
	s := p.servers[0]
	p.servers[0] = nil
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	late.Stop()
	if left := nodetest.Processes(mark); len(left) > 0 {
		t.Errorf("processes %v outlived the server", left)
	}
	if err := <-done; !errors.Is(err, s4.ErrUnavailable) {
		t.Errorf("told: %v", err)
	}
}

// peak is the largest resident set of a server in bytes.
func (p *processes) peak(i int) int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.servers[i].cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kb << 10
}

// Many small keys: in, listed, through a map, out, and away.
func TestManySmallKeys(t *testing.T) {
	t.Parallel()
	big := os.Getenv("S4_TEST_BIG") != ""
	const dirs = 10
	perDir := 300
	if big {
		perDir = 2000
	}
	// So long that the entries of one server do not fit into one frame.
	prefix := "b/" + strings.Repeat("x", 100)
	p := startProcesses(t, 3)
	for i := range 3 {
		p.start(i)
	}
	client := nodetest.NewClient(t, p.cluster, nil)
	src, dst := t.TempDir(), t.TempDir()
	for d := range dirs {
		dir := filepath.Join(src, fmt.Sprintf("d%d", d))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range perDir {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d_%d", i, d)), noise(fmt.Sprint(d, i), 1<<10), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	long, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	count := 0
	report := func(tr s4.Transfer) {
		if tr.Err != nil {
			t.Errorf("%s: %v", tr.Key, tr.Err)
		}
		count++
	}
	if err := client.PutTree(long, src, "s4://"+prefix, report); err != nil || count != dirs*perDir {
		t.Fatalf("put %d: %v", count, err)
	}
	n, last := 0, ""
	for e, err := range client.List(long, "s4://"+prefix+"/", true) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Name <= last || e.Size != 1<<10 {
			t.Fatalf("%s of %d bytes after %s", e.Name, e.Size, last)
		}
		n, last = n+1, e.Name
	}
	if size := n * (&wire.Entry{Name: last}).EntrySize() / 3; size < wire.MaxEntries*5/4 {
		t.Errorf("%d bytes of entries on a server are hardly two frames", size)
	}
	if n != dirs*perDir {
		t.Errorf("listed %d", n)
	}
	in, tasks := "s4://"+prefix+"/d0/1??_0", 100 // a task is a process: some of them
	if big {
		in, tasks = "s4://"+prefix, dirs*perDir
	}
	res, err := client.Map(long, in, "s4://b/mapped", "cat", nil)
	if err != nil || res.Keys != int64(tasks) || res.Bytes != int64(tasks)<<10 {
		t.Errorf("%+v, %v", res, err)
	}
	count = 0
	if err := client.GetTree(long, "s4://"+prefix, dst, report); err != nil || count != dirs*perDir {
		t.Errorf("got %d: %v", count, err)
	}
	for d := range dirs {
		for i := range perDir {
			b, err := os.ReadFile(filepath.Join(dst, fmt.Sprintf("d%d/%d_%d", d, i, d)))
			if err != nil || !bytes.Equal(b, noise(fmt.Sprint(d, i), 1<<10)) {
				t.Fatalf("d%d/%d_%d: wrong, %v", d, i, d, err)
			}
		}
	}
	removed, err := client.Remove(long, "s4://b/", true)
	if err != nil || removed != int64(dirs*perDir+tasks) {
		t.Errorf("removed %d, %v", removed, err)
	}
	for i := range 3 {
		if peak := p.peak(i); peak > 100<<20 && !node.RaceEnabled {
			t.Errorf("server %d took %d MiB", i, peak>>20)
		}
		clean(t, []string{filepath.Join(p.dir, strconv.Itoa(i))})
	}
}

// pattern yields left bytes.
type pattern struct{ left int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), p.left)], allNoise()[p.left%4096:])
	p.left -= int64(n)
	return n, nil
}

// One large key, in and out, through a server that stays small.
func TestLargeKey(t *testing.T) {
	t.Parallel()
	size := int64(128 << 20)
	if os.Getenv("S4_TEST_BIG") != "" {
		size = 4 << 30
	}
	p := startProcesses(t, 1)
	p.start(0)
	client := nodetest.NewClient(t, p.cluster, nil)
	long, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for i, n := range []int64{size, -1} {
		key := fmt.Sprintf("s4://b/k%d", i)
		if err := client.Put(long, key, &pattern{size}, n); err != nil {
			t.Fatal(err)
		}
		o, err := client.Get(long, key, io.Discard)
		if err != nil || o.Size != size {
			t.Errorf("%+v, %v", o, err)
		}
	}
	if st, err := client.Eval(long, "s4://b/k0", "wc -c >&2; cat > copy", io.Discard, io.Discard, nil); err != nil || st.Code != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if peak := p.peak(0); peak > 100<<20 && !node.RaceEnabled {
		t.Errorf("the server took %d MiB", peak>>20)
	}
}
