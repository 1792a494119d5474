package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"s4"
	"s4/node"
	"s4/node/nodetest"
	"s4/wire"
)

func TestMapShuffleMerge(t *testing.T) {
	c, client := start(t, node.Config{})
	for i := range 6 {
		put(t, client, fmt.Sprintf("b/in/d%d/%d", i%2, i), fmt.Appendf(nil, "%d\n", i))
	}
	var last s4.JobProgress
	res, err := client.Map(guarded(t), "s4://b/in/", "s4://b/mapped/", `read n; echo $((n * 10)) $filename $S4_KEY`, &s4.JobOptions{Progress: func(p s4.JobProgress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if res.Keys != 6 || last.Done != 6 || res.BytesIn != 12 {
		t.Errorf("%+v, %+v", res, last)
	}
	if got := get(t, client, "b/mapped/d1/3"); got != "30 3 s4://b/in/d1/3\n" {
		t.Errorf("%q", got)
	}
	if _, err := client.MapToN(guarded(t), "s4://b/mapped/*/*", "s4://b/parts", `read n rest; for i in 0 1 2; do echo "$n-$i" > ${i}_part; echo ./${i}_part; done`, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.MapFromN(guarded(t), "s4://b/parts", "s4://b/merged", `while read f; do cat "$f"; done`, nil); err != nil {
		t.Fatal(err)
	}
	if got := list(t, client, "b/merged/"); !slices.Equal(got, []string{"b/merged/0_part", "b/merged/1_part", "b/merged/2_part"}) {
		t.Errorf("%q", got)
	}
	if got := get(t, client, "b/merged/1_part"); got != "0-1\n20-1\n40-1\n10-1\n30-1\n50-1\n" {
		t.Errorf("%q", got)
	}
	nodetest.Eventually(t, "the jobs' directories are removed", func() bool {
		left := 0
		for i := range c.Nodes {
			left += len(nodetest.Staged(t, c.Data(i)))
		}
		return left == 0
	})
	if _, err := client.Map(guarded(t), "s4://b/none", "s4://b/x", "cat", nil); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("no key: %v", err)
	}
	if _, err := client.Map(guarded(t), "s4://b/in/", "s4://b/mapped/", "cat", nil); !errors.Is(err, s4.ErrExists) {
		t.Errorf("into what exists: %v", err)
	}
	if _, err := client.MapToN(guarded(t), "s4://b/mapped/", "s4://b/parts", "echo x > 0_part; echo 0_part", nil); !errors.Is(err, s4.ErrExists) {
		t.Errorf("shuffle into what exists: %v", err)
	}
}

// One task fails while others run: the job leaves nothing and says why.
func TestFailingTask(t *testing.T) {
	c, client := start(t, node.Config{})
	names := manyIn(t, client, 9)
	check := baseline(t, 3)
	for verb, run := range jobVerbs {
		for _, how := range []struct {
			cmd          string
			exit, signal int
			stderr       string
		}{
			{"echo some text >&2; echo 100% >&2; exit 7", 7, 0, "some text\n100%\n"},
			{"printf '\\xff\\x00%%d' >&2; kill -9 $$", -1, 9, "\xff\x00%d"}, // bash prints %%d as %d
			{"echo $no_such_variable", 127, 0, "unbound"},
			{"false | true", 1, 0, ""},
		} {
			t.Run(verb, func(t *testing.T) {
				mark := marker()
				// The others have staged and pushed something, or still run.
				cmd := fmt.Sprintf(`key=${filename%%_k}
if [ $key = 4 ]; then sleep 0.2; %s; fi
if [ $key -lt 4 ]; then for i in 0_x 1_x 2_x; do echo $i > $i; echo $i; done; exit 0; fi
sleep %s & sleep %s`, how.cmd, mark, mark)
				_, err := run(client, guarded(t), "s4://b/in/", "s4://b/out/", cmd, nil)
				var e *s4.Error
				if !errors.As(err, &e) || !errors.Is(err, s4.ErrTaskFailed) {
					t.Fatalf("%v is no ErrTaskFailed", err)
				}
				wantKey := "s4://b/in/4_k"
				if verb == "map-from-n" {
					wantKey = "s4://b/out/4_k" // a merge's task is known by what it writes
				}
				if e.Op != verb || e.Key != wantKey || e.Server != c.Cluster.Servers[1].String() {
					t.Errorf("op %s, key %s, server %s", e.Op, e.Key, e.Server)
				}
				if e.Exit != how.exit && how.exit != 127 || e.Signal != how.signal || !strings.Contains(e.Stderr, how.stderr) {
					t.Errorf("exit %d, signal %d, stderr %q", e.Exit, e.Signal, e.Stderr)
				}
				noProcess(t, mark)
				clean(t, dataDirs(c), names...)
			})
		}
	}
	client.Close()
	check()
}

// What a shuffle's command must not print.
func TestBadNamesInShuffle(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/in/1_k", []byte("x"))
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{
		"echo missing",
		"mkdir d; echo d",
		"echo .",
		"echo",
		"echo ../../../../lock",
		"echo " + secret,
		"echo x > a; echo a; echo a",
		"echo x > a; echo a; echo ./a",
		"mkdir d; echo x > a; echo x > d/a; echo a; echo d/a",
		"ln -s " + secret + " l; echo l",
		"ln -s " + filepath.Dir(secret) + " l; echo l/secret",
		"echo x > 'a b'; echo 'a b'",
		"printf 'x' > $'\\x01'; printf '\\x01\\n'",
		"head -c 100000 /dev/zero | tr '\\0' x",
		"printf '\\0\\n'",
	} {
		_, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", cmd, nil)
		if !errors.Is(err, s4.ErrTaskFailed) {
			t.Errorf("%s: %v", cmd, err)
		}
		clean(t, dataDirs(c), "b/in/1_k")
	}
	// And what it may.
	_, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", `mkdir d; echo 1 > d/1_a; echo d/1_a; echo 2 > 2_b; echo "$(pwd)/2_b"; printf x > last; printf last`, nil)
	if err != nil {
		t.Error(err)
	}
	if got := list(t, client, "b/out/"); !slices.Equal(got, []string{"b/out/1_k/1_a", "b/out/1_k/2_b", "b/out/1_k/last"}) {
		t.Errorf("%q", got)
	}
}

// A named pipe among the printed names must not hold up the server.
func TestShuffleOfANamedPipe(t *testing.T) {
	_, client := start(t, node.Config{})
	put(t, client, "b/in/1_k", []byte("x"))
	path := filepath.Join(t.TempDir(), "path")
	done := make(chan error, 1)
	go func() {
		_, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", "mkfifo p; pwd > "+path+"; echo p", nil)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, s4.ErrTaskFailed) {
			t.Errorf("%v", err)
		}
	case <-time.After(3 * time.Second):
		t.Error("the job hangs")
		if b, err := os.ReadFile(path); err == nil { // free it
			if f, err := os.OpenFile(filepath.Join(strings.TrimSpace(string(b)), "p"), os.O_RDWR, 0); err == nil {
				defer f.Close()
			}
		}
		<-done
	}
}

// The data directory's path has a link in it; the command prints what its
// shell says is the path.
func TestShuffleInALinkedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	c := nodetest.StartIn(t, filepath.Join(dir, "link"), 1, node.Config{})
	client := c.Client(t, nil)
	put(t, client, "b/in/k", []byte("x"))
	for i, print := range []string{`"$PWD/f"`, `"$(pwd -P)/f"`, `f`} {
		_, err := client.MapToN(guarded(t), "s4://b/in", fmt.Sprintf("s4://b/out%d", i), "cat > f; echo "+print, nil)
		if err != nil {
			t.Errorf("%s: %v", print, err)
		}
	}
}

// A key that is read-only is copied so; the copy is an output like another.
func TestShuffleOfCopiesAndLinks(t *testing.T) {
	_, client := start(t, node.Config{})
	put(t, client, "b/in/1_k", []byte("text"))
	if _, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", `cp "$S4_FILE" 1_c; ln "$S4_FILE" 1_l; echo 1_c; echo 1_l; cp 1_c 2_c; echo 2_c`, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Remove(guarded(t), "s4://b/in/1_k", false); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"1_c", "1_l", "2_c"} {
		if got := get(t, client, "b/out/1_k/"+k); got != "text" {
			t.Errorf("%s: %q", k, got)
		}
	}
}

// A peer that cannot be reached fails the job, by name.
func TestPeerDownInShuffle(t *testing.T) {
	c := nodetest.StartProxied(t, 3, node.Config{MaxCPUJobs: 4})
	client := c.Client(t, nil)
	put(t, client, "b/in/0_k", []byte("x"))
	gate := filepath.Join(t.TempDir(), "gate")
	cmd := `while [ ! -e ` + gate + ` ]; do sleep 0.02; done; for i in 0 1 2; do echo $i > $i; echo $i; done`
	target := c.Proxies[2].Target()
	for name, breakPeer := range map[string]func(){
		"refused": func() {
			c.Proxies[2].SetTarget("127.0.0.1:1") // connections that are open stay
		},
		"cut": func() {
			c.Proxies[2].Set(nodetest.Fault{Action: nodetest.Cut, Dir: nodetest.ToServer, At: 30, Channel: 'd'})
		},
	} {
		_ = os.Remove(gate)
		done := make(chan error, 1)
		started := make(chan struct{})
		go func() {
			_, err := client.MapToN(guarded(t), "s4://b/in", "s4://b/out", cmd, &s4.JobOptions{Progress: func(p s4.JobProgress) {
				select {
				case <-started:
				default:
					close(started)
				}
			}})
			done <- err
		}()
		select {
		case <-started:
		case err := <-done:
			t.Fatalf("%s: ended before it was to: %v", name, err)
		}
		breakPeer()
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		err := <-done
		if err == nil || !strings.Contains(err.Error(), c.Proxies[2].Addr()) || !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("%s: %v does not name %s", name, err, c.Proxies[2].Addr())
		}
		for i := range c.Nodes {
			want := []string{}
			if i == 0 {
				want = []string{"b/in/0_k"}
			}
			clean(t, []string{c.Data(i)}, want...)
		}
		c.Proxies[2].Heal()
		c.Proxies[2].SetTarget(target)
	}
}

// Stopping ends jobs and evals at once, transfers within the grace.
func TestShutdown(t *testing.T) {
	c, client := start(t, node.Config{})
	names := manyIn(t, client, 6)
	put(t, client, "b/1_k", []byte("x"))
	mark := marker()
	ends := make(chan error, 8)
	var wg sync.WaitGroup
	for _, run := range jobVerbs {
		wg.Go(func() {
			_, err := run(client, guarded(t), "s4://b/in", "s4://b/out", "sleep "+mark+" & sleep "+mark, nil)
			ends <- err
		})
	}
	wg.Go(func() {
		_, err := client.Eval(guarded(t), "s4://b/1_k", "sleep "+mark+" & cat /dev/zero", io.Discard, io.Discard)
		ends <- err
	})
	r := newBlocking(noise("x", 1<<20))
	wg.Go(func() {
		err := client.Put(guarded(t), "s4://b/new/2_k", r, -1)
		ends <- err
	})
	<-r.blocked
	nodetest.Eventually(t, "commands run on all servers", func() bool { return len(nodetest.Processes(mark)) >= 8 })
	grace, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- c.Shutdown(grace) }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("not stopped after 10 s")
		<-stopped
	}
	if left := nodetest.Processes(mark); len(left) > 0 {
		t.Errorf("processes %v outlived the server", left)
	}
	close(r.free)
	wg.Wait()
	for range len(jobVerbs) + 2 {
		if err := <-ends; !errors.Is(err, s4.ErrUnavailable) {
			t.Errorf("told: %v", err)
		}
	}
	client.Close()
	nodetest.Eventually(t, "no goroutine is left", func() bool { return len(nodetest.Goroutines()) == 0 })
	clean(t, dataDirs(c), append(names, "b/1_k")...)
}

// A peer that accepts and says nothing must not hold up the stop of a server,
// nor a client that gives its job up.
func TestStalledPeer(t *testing.T) {
	for _, end := range []string{"cancel", "shutdown"} {
		t.Run(end, func(t *testing.T) {
			c := nodetest.StartProxied(t, 2, node.Config{MaxCPUJobs: 4})
			client := c.Client(t, nil)
			put(t, client, "b/in/0_k", []byte("x"))
			stalled := nodetest.Fault{Action: nodetest.Stall, Dir: nodetest.ToClient, At: 20, Channel: 'd'}
			c.Proxies[1].Set(stalled)
			ctx, cancel := context.WithCancel(guarded(t))
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := client.MapToN(ctx, "s4://b/in", "s4://b/out", "echo x > 1_x; echo 1_x", nil)
				done <- err
			}()
			nodetest.Eventually(t, "the push waits for its answer", func() bool { return c.Proxies[1].Hits() > 0 })
			finished := make(chan struct{})
			if end == "cancel" {
				cancel()
				go func() {
					defer close(finished)
					clean(t, []string{c.Data(0)}, "b/in/0_k")
				}()
			} else {
				grace, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
				defer cancel()
				go func() {
					defer close(finished)
					c.Nodes[0].Shutdown(grace)
				}()
			}
			select {
			case <-finished:
			case <-time.After(12 * time.Second):
				t.Errorf("%s waits for the stalled peer", end)
			}
			c.Proxies[1].CutAll()
			c.Proxies[1].Heal()
			<-finished
			<-done
		})
	}
}

// Refusals, with the sentinels that a program looks for.
func TestRefusals(t *testing.T) {
	c, client := start(t, node.Config{})
	put(t, client, "b/0_k", []byte("x"))
	swapped := &s4.Cluster{Servers: slices.Clone(c.Cluster.Servers)}
	slices.Reverse(swapped.Servers)
	shorter := &s4.Cluster{Servers: c.Cluster.Servers[:2]}
	for name, other := range map[string]*s4.Cluster{"swapped": swapped, "shorter": shorter} {
		wrong := nodetest.NewClient(t, other, nil)
		dir := t.TempDir()
		for op, err := range map[string]error{
			"put":  wrong.Put(guarded(t), "s4://b/new", strings.NewReader("x"), 1),
			"get":  func() error { _, err := wrong.Get(guarded(t), "s4://b/0_k", io.Discard); return err }(),
			"file": func() error { _, err := wrong.GetFile(guarded(t), "s4://b/0_k", dir+"/f"); return err }(),
			"rm":   func() error { _, err := wrong.Remove(guarded(t), "s4://b/", true); return err }(),
			"map":  func() error { _, err := wrong.Map(guarded(t), "s4://b", "s4://c", "cat", nil); return err }(),
			"ls": func() error {
				for _, err := range wrong.List(guarded(t), "s4://b", true) {
					return err
				}
				return nil
			}(),
		} {
			if !errors.Is(err, s4.ErrWrongCluster) {
				t.Errorf("%s cluster, %s: %v", name, op, err)
			}
			for _, fp := range []uint64{other.Fingerprint(), c.Cluster.Fingerprint()} {
				if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%016x", fp)) {
					t.Errorf("%s cluster, %s: %v does not name %016x", name, op, err, fp)
				}
			}
		}
		for _, h := range wrong.Health(guarded(t)) {
			if !errors.Is(h.Err, s4.ErrWrongCluster) {
				t.Errorf("health: %v", h.Err)
			}
		}
	}
	// The right list, but server 1 answers where 0 is listed.
	proxied := nodetest.StartProxied(t, 2, node.Config{})
	proxied.Proxies[0].SetTarget(func() string {
		// Whatever stands behind proxy 1 is reached through it.
		return proxied.Proxies[1].Addr()
	}())
	wrong := proxied.Client(t, nil)
	if _, err := wrong.Get(guarded(t), "s4://b/0_k", io.Discard); codeOf(err) != wire.CodeWrongServer {
		t.Errorf("wrong index: %v", err)
	}
	// A key that belongs to another server, from a client that cannot count.
	conn, err := s4.Dial(guarded(t), c.Cluster, 1, wire.ChannelControl, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var we *wire.Error
	for _, m := range []wire.Message{&wire.Stat{Key: "b/0_k"}, &wire.Remove{Prefix: "b/0_k"}} {
		if err := conn.Write(1, 0, m); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(); !errors.As(err, &we) || we.Code != wire.CodeWrongServer {
			t.Errorf("%s: %v", m.Type(), err)
		}
	}
	// Another version, both ways.
	tcp, err := net.Dial("tcp", c.Cluster.Servers[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	pre := wire.Preamble{Version: wire.Version + 1, Channel: wire.ChannelData, Fingerprint: c.Cluster.Fingerprint()}
	if _, err := tcp.Write(pre.Append(nil)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(tcp)
	if refused := wire.ParseRefusal(string(answer)); err != nil || refused.Code != wire.CodeVersion {
		t.Errorf("%q, %v", answer, err)
	}
	for _, answer := range [][]byte{
		wire.Preamble{Version: wire.Version + 1, Channel: wire.ChannelData}.Append(nil),
		wire.AppendRefusal(nil, wire.CodeVersion, "version 9 here, 1 there"),
	} {
		fake, one := fakeServer(t, func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, wire.PreambleSize))
			_, _ = conn.Write(answer)
		})
		if err := fake.Put(guarded(t), "s4://b/k", bytes.NewReader(nil), 0); !errors.Is(err, s4.ErrVersion) {
			t.Errorf("%q from %s: %v", answer, one, err)
		}
	}
	// Nobody there, and somebody else.
	down := nodetest.NewClient(t, &s4.Cluster{Servers: []s4.Server{{Address: "127.0.0.1", Port: "1"}}}, nil)
	if err := down.Put(guarded(t), "s4://b/k", bytes.NewReader(nil), 0); !errors.Is(err, s4.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	fake, _ := fakeServer(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.0 400 Bad Request\r\n\r\n") })
	if err := fake.Put(guarded(t), "s4://b/k", bytes.NewReader(nil), 0); err == nil {
		t.Error("a web server took a key")
	}
}

// fakeServer is a cluster of one server that is not to be trusted.
func fakeServer(t testing.TB, serve func(net.Conn)) (*s4.Client, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(guard))
				serve(conn)
			})
		}
	})
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	client := s4.NewClient(&s4.Cluster{Servers: []s4.Server{{Address: host, Port: port}}}, &s4.Options{IOTimeout: 2 * time.Second})
	t.Cleanup(func() {
		client.Close()
		ln.Close()
		wg.Wait()
	})
	return client, ln.Addr().String()
}

// A server that lists what was not asked for cannot make the client write
// elsewhere, nor crash it.
func TestHostileListing(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		inChild(t) // a panic of the client's goroutines would end all tests
		return
	}
	for _, name := range []string{"b/../../escaped", "b/x/../../../escaped", "b/./k", "b/a//k", "x", "b", "", "/etc/k", "other/k", "b/a\x00b"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			client, _ := fakeServer(t, func(conn net.Conn) {
				pre := make([]byte, wire.PreambleSize)
				if _, err := io.ReadFull(conn, pre); err != nil {
					return
				}
				_, _ = conn.Write(pre)
				for {
					head := make([]byte, wire.HeaderSize)
					if _, err := io.ReadFull(conn, head); err != nil {
						return
					}
					h, err := wire.DecodeHeader(head)
					if err != nil {
						return
					}
					if _, err := io.CopyN(io.Discard, conn, int64(h.Len)); err != nil {
						return
					}
					var out []byte
					switch h.Type {
					case wire.TypeList:
						out = wire.AppendFrame(out, h.Tag, 0, &wire.Entries{List: []wire.Entry{{Kind: wire.EntryKey, Size: 0, Name: name}}})
						out = wire.AppendFrame(out, h.Tag, 0, &wire.End{Count: 1})
					case wire.TypeGet:
						out = wire.AppendFrame(out, h.Tag, wire.FlagStream, &wire.Object{Sum: 0xef46db3751d8e999})
						out = wire.AppendFrame(out, h.Tag, 0, &wire.Trailer{Sum: 0xef46db3751d8e999})
					}
					if _, err := conn.Write(out); err != nil {
						return
					}
				}
			})
			dir := t.TempDir()
			dst := filepath.Join(dir, "a", "b")
			if err := os.MkdirAll(dst, 0o755); err != nil {
				t.Fatal(err)
			}
			failed := false
			err := client.GetTree(guarded(t), "s4://b", dst, func(tr s4.Transfer) { failed = failed || tr.Err != nil })
			if err == nil && !failed {
				t.Error("accepted")
			}
			if files := localFiles(t, dir); len(files) > 0 {
				t.Errorf("wrote %q", files)
			}
		})
	}
}
