package server

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
)

// systemd is told when the server serves, that it is alive, and when it stops. Commands
// do not get to know where to tell it.
func TestSystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("WATCHDOG_PID", "")
	next := func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	r := runServer(t)
	if got := next(); got != "READY=1" {
		t.Errorf("first it says %q", got)
	}
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("then it says %q", got)
		}
	}
	cluster, err := s4.LoadCluster(filepath.Join(r.dir, "s4.conf"))
	if err != nil {
		t.Fatal(err)
	}
	c := s4.NewClient(cluster, nil)
	defer c.Close()
	if err := c.Put(t.Context(), "s4://b/k", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	if code, err := c.Eval(t.Context(), "s4://b/k", "env", &out, &errs, nil); err != nil || code != (s4.ExitStatus{}) {
		t.Fatal(code, err, errs.String())
	}
	for _, name := range []string{"NOTIFY_SOCKET=", "WATCHDOG_"} {
		if !strings.Contains(out.String(), "LC_ALL=C\n") || strings.Contains(out.String(), name) {
			t.Errorf("a command has %s:\n%s", name, &out)
		}
	}
	r.stop()
	last := next()
	for last == "WATCHDOG=1" {
		last = next()
	}
	if last != "STOPPING=1" {
		t.Errorf("last it says %q", last)
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("and then %d bytes, %v", n, err)
	}
}
