package node_test

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// silentFor is after how long connections that say nothing may be dropped.
const silentFor = time.Second

// Connections that say nothing are dropped, the oldest first, when there are too many, and
// those that have said something stay.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	if os.Getenv(childEnv) == "" {
		inChild(t) // the limit is of the whole process
		return
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = 200
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, 1, node.Config{})
	client := c.Client(t, nil)
	put(t, client, "b/k", []byte("x"))
	const most = 200 / 4
	var silent []net.Conn
	for i := range most + 10 {
		conn, err := net.Dial("tcp", c.Cluster.Servers[0].String())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	// Only those that had time to say something.
	_ = silent[0].SetReadDeadline(time.Now().Add(silentFor / 10))
	if _, err := silent[0].Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("the first connection, at once: %v, want a timeout", err)
	}
	time.Sleep(silentFor)
	get(t, c.Client(t, nil), "b/k") // on a new connection
	for i, conn := range silent[:10] {
		_ = conn.SetReadDeadline(time.Now().Add(guard))
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection %d: %v, want the end", i, err)
		}
	}
	_ = silent[len(silent)-1].SetReadDeadline(time.Now())
	if _, err := silent[len(silent)-1].Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("the last connection: %v, want a timeout", err)
	}
	if got := get(t, client, "b/k"); got != "x" {
		t.Errorf("read %q", got)
	}
	if _, err := client.Map(guarded(t), "s4://b/", "s4://out/", "cat", nil); err != nil {
		t.Error(err)
	}
}
