package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/nathants/s4"
)

func TestFindSelf(t *testing.T) {
	lookup := func(_ context.Context, host string) ([]string, error) {
		switch host {
		case "me.example":
			return []string{"203.0.113.9", "127.0.0.2"}, nil
		case "other.example":
			return []string{"203.0.113.9"}, nil
		}
		return nil, errors.New("no such host")
	}
	for _, tt := range []struct {
		name        string
		conf        string
		index, port int
		want        int
		err         string // what the error must contain
	}{
		{"by address", "203.0.113.1:1\n127.0.0.1:2\n", -1, 0, 1, ""},
		{"by IPv6 address", "203.0.113.1:1\n[::1]:2\n", -1, 0, 1, ""},
		{"by any loopback address", "203.0.113.1:1\n127.1.2.3:2\n", -1, 0, 1, ""},
		{"by name", "other.example:1\nme.example:1\n", -1, 0, 1, ""},
		{"a name nobody knows is some other host", "unknown.example:1\nme.example:1\n", -1, 0, 1, ""},
		{"by port", "127.0.0.1:1\n127.0.0.1:2\n", -1, 2, 1, ""},
		{"by port, other hosts have it, too", "203.0.113.1:2\n127.0.0.1:1\n127.0.0.1:2\n", -1, 2, 2, ""},
		{"any address, by port", "0.0.0.0:1\n0.0.0.0:2\n", -1, 2, 1, ""},
		{"any IPv6 address", "203.0.113.1:1\n[::]:1\n", -1, 1, 1, ""},
		{"any address, two", "0.0.0.0:1\n[::]:2\n", -1, 0, 0, "both 0.0.0.0:1 and [::]:2 in test.conf are this machine (say which it is with --port)"},
		{"by index, where the address is not local", "203.0.113.1:1\n203.0.113.2:1\n", 1, 0, 1, ""},
		{"by index, with its port", "203.0.113.1:1\n203.0.113.2:7\n", 1, 7, 1, ""},
		{"two, of two ports", "127.0.0.1:1\n127.0.0.1:2\n", -1, 0, 0, "both 127.0.0.1:1 and 127.0.0.1:2 in test.conf are this machine (say which it is with --port)"},
		{"two, of one port", "127.0.0.1:1\nme.example:1\n", -1, 0, 0, "(say which it is with --index)"},
		{"two, of one port, with it", "127.0.0.1:1\nme.example:1\n", -1, 1, 0, "(say which it is with --index)"},
		{"three, of which two have one port", "127.0.0.1:1\nme.example:2\n127.0.0.2:2\n", -1, 2, 0, "(say which it is with --index)"},
		{"none", "203.0.113.1:1\nother.example:1\nunknown.example:1\n", -1, 0, 0, "no server in test.conf has an address of this machine (say which it is with --index)"},
		{"none with the port", "127.0.0.1:1\n", -1, 2, 0, "no server in test.conf has an address of this machine and port 2 (say which it is with --index)"},
		{"no such index", "127.0.0.1:1\n127.0.0.1:2\n", 2, 0, 0, "--index 2: test.conf lists servers 0 to 1"},
		{"index and port differ", "127.0.0.1:1\n127.0.0.1:2\n", 0, 2, 0, "--index 0 is 127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := s4.ParseCluster(strings.NewReader(tt.conf), "test.conf")
			if err != nil {
				t.Fatal(err)
			}
			got, err := findSelf(t.Context(), c, tt.index, tt.port, lookup)
			switch {
			case tt.err == "" && err != nil:
				t.Error(err)
			case tt.err == "" && got != tt.want:
				t.Errorf("server %d, want %d", got, tt.want)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestFindSelfByInterface(t *testing.T) {
	local, err := localAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for a := range local {
		s := s4.Server{Address: a, Port: "1"}
		c := &s4.Cluster{Servers: []s4.Server{{Address: "203.0.113.1", Port: "1"}, s}}
		if got, err := findSelf(t.Context(), c, -1, 0, nil); err != nil || got != 1 {
			t.Errorf("%s: server %d, %v", s, got, err)
		}
	}
}

func TestListenError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String()
	_, err = net.Listen("tcp", addr)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("second listen: %v", err)
	}
	const todo = "choose another"
	if got, want := listenError(addr, err, todo).Error(), "cannot listen on "+addr+": address already in use ("+todo+")"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Whatever else happens is passed on, in one line.
	for _, bad := range []string{"127.0.0.1", "127.0.0.1:99999", "no.such.host.invalid:1", "203.0.113.1:1"} {
		_, err := net.Listen("tcp", bad)
		if err == nil {
			t.Fatalf("listen on %s worked", bad)
		}
		got := listenError(bad, err, todo).Error()
		if !strings.HasPrefix(got, "cannot listen on "+bad+": ") || strings.Contains(got, ":  (") || strings.Contains(got, "\n") {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// Main prints no usage text after an error, and logs to stderr only.
func TestMainUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--nodes"}, 2, "flag needs an argument: --nodes"},
		{[]string{"--io-timeout", "5"}, 2, "--io-timeout"},
		{[]string{"--port", "-1"}, 2, "--port -1: ports are 1 to 65535"},
		{[]string{"--log-format", "xml"}, 2, "console or json"},
		{[]string{"--task-memory", "2 GB"}, 2, "--task-memory 2 GB: want a number of bytes"},
		{[]string{"--task-memory", "1k"}, 2, "--task-memory 1k: at least 1MiB"},
		{[]string{"--task-cpu", "-1"}, 2, "--task-cpu -1: from 0.01 to"},
		{[]string{"--task-cpu", "NaN"}, 2, "--task-cpu NaN: from 0.01 to"},
		{[]string{"--run-as", "no such user"}, 1, "--run-as no such user: "},
		{[]string{"-c", "/no/such/file"}, 1, "cluster file /no/such/file does not exist"},
	} {
		var stdout, stderr strings.Builder
		code := Main(t.Context(), tt.args, &stdout, &stderr)
		text := stderr.String()
		if code != tt.code || !strings.HasPrefix(text, "s4-server: ") || !strings.Contains(text, tt.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%q: exit code %d, stderr %q; want %d and %q", tt.args, code, text, tt.code, tt.want)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: stdout %q", tt.args, stdout.String())
		}
	}
}
