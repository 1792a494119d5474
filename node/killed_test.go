package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node/nodetest"
)

// What tasks and shells have started dies with a server that is killed, though nobody starts
// it again, and so does the process that sees to it.
func TestTasksDieWithAKilledServer(t *testing.T) {
	p := startProcesses(t, 1)
	p.start(0)
	watchdogs := func() int {
		jobs := filepath.Join(p.dir, "0", "_s4", "jobs")
		list, _ := filepath.Glob("/proc/[0-9]*/environ")
		n := 0
		for _, f := range list {
			b, _ := os.ReadFile(f)
			if strings.HasPrefix(string(b), "DIR="+jobs+"\x00") {
				n++
			}
		}
		return n
	}
	nodetest.Eventually(t, "the watchdog runs", func() bool { return watchdogs() == 1 })
	client := nodetest.NewClient(t, p.cluster, nil)
	put(t, client, "b/in/k", []byte("x"))
	here, elsewhere := marker(), marker()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = client.Map(guarded(t), "s4://b/in", "s4://b/out",
			"(cd / && sleep "+elsewhere+" | cat) & sleep "+here+" & sleep "+here+" | cat", nil)
	}()
	sh := startShell(t, client, "", nil)
	sh.typed("trap '' HUP; (cd / && sleep " + elsewhere + "; true) & sleep " + here + "\n")
	nodetest.Eventually(t, "the commands run", func() bool {
		return len(nodetest.Processes("sleep\x00"+here)) == 3 && len(nodetest.Processes("sleep\x00"+elsewhere)) == 2
	})
	p.kill(0)
	<-done
	if err := <-sh.done; !errors.Is(err, s4.ErrUnavailable) {
		t.Errorf("the shell's user is told: %v", err)
	}
	noProcess(t, here)
	noProcess(t, elsewhere)
	nodetest.Eventually(t, "the watchdog has ended", func() bool { return watchdogs() == 0 })
	p.start(0) // at once: the lock is free
}
