package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

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
		"echo ' '",
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
