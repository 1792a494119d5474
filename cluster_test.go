package s4_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4"
)

func TestParseCluster(t *testing.T) {
	in := "# the cluster\n\n a.example:1 \nB.Example:0002# two\r\n[::1]:3\n10.0.0.1:65535\n\t# end\n"
	c, err := s4.ParseCluster(strings.NewReader(in), "f")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a.example:1", "b.example:2", "[::1]:3", "10.0.0.1:65535"}
	var got []string
	for _, s := range c.Servers {
		got = append(got, s.String())
	}
	if !slices.Equal(got, want) || c.Path != "f" {
		t.Errorf("%q in %q, want %q", got, c.Path, want)
	}
}

func TestParseClusterErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "conf:1: no servers",
		"\n# nothing\n":            "conf:3: no servers",
		"a:1\nb\n":                 "conf:2: \"b\" is not host:port",
		"a:1\n\n# x\na:1\n":        "conf:4: a:1 is already on line 1",
		"a:1\nA:01":                "conf:2: a:1 is already on line 1",
		"a:0":                      "conf:1: \"a:0\" has a bad port",
		"a:65536":                  "conf:1: \"a:65536\" has a bad port",
		"a:-1":                     "conf:1: ",
		"a:http":                   "conf:1: \"a:http\" has a bad port",
		"a:":                       "conf:1: ",
		":80":                      "conf:1: \":80\" has no valid host: it is empty",
		"\ufeffb\n":                "conf:1: \"b\" is not host:port",
		"a:1\r\nb\r\n":             "conf:2: \"b\" is not host:port",
		"a:1\n\ufeffb:1":           `conf:2: "\ufeffb:1" has no valid host: '\ufeff' is in no host name`,
		"höst:1":                   `conf:1: "höst:1" has no valid host: 'ö' is in no host name`,
		"a\xff:1":                  `conf:1: "a\xff:1" has no valid host: `,
		"a;b:1":                    `conf:1: "a;b:1" has no valid host: ';' is in no host name`,
		"user@a:1":                 `conf:1: "user@a:1" has no valid host: '@' is in no host name`,
		"a%eth0:1":                 `conf:1: "a%eth0:1" has no valid host: only IPv6 addresses have a zone`,
		"[1::2::3]:1":              `conf:1: "[1::2::3]:1" has no valid host: it is no IPv6 address`,
		"[fe80::1%a b]:1":          `conf:1: "[fe80::1%a b]:1" has no valid host: ' ' is in no host name`,
		"[fe80::1%]:1":             `conf:1: "[fe80::1%]:1" has no valid host: it is no IPv6 address`,
		"300.1.1.1:1":              `conf:1: "300.1.1.1:1" has no valid host: it is no IPv4 address`,
		"a:1\n1.2.3:1":             `conf:2: "1.2.3:1" has no valid host: it is no IPv4 address`,
		"1.2.3.4.5:1":              `conf:1: "1.2.3.4.5:1" has no valid host: it is no IPv4 address`,
		"010.0.0.1:1":              `conf:1: "010.0.0.1:1" has no valid host: it is no IPv4 address`,
		"127.0.0.1.:1":             `conf:1: "127.0.0.1.:1" has no valid host: it is no IPv4 address`,
		"127.1:1":                  `conf:1: "127.1:1" has no valid host: it is no IPv4 address`,
		"127.0.0.0x1:1":            `conf:1: "127.0.0.0x1:1" has no valid host: it is no IPv4 address`,
		"a.0X:1":                   `conf:1: "a.0X:1" has no valid host: it is no IPv4 address`,
		"2130706433:1":             `conf:1: "2130706433:1" has no valid host: it is no IPv4 address`,
		"::1:80":                   "conf:1: ",
		"http://a:80":              "conf:1: ",
		"a:1 b:2":                  "conf:1: ",
		"a b:2":                    "conf:1: ",
		strings.Repeat("x", 1<<17): "conf:1: ",
	} {
		_, err := s4.ParseCluster(strings.NewReader(in), "conf")
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q…", in, err, want)
		}
	}
}

// A byte order mark and carriage returns, which some editors write, are ignored.
func TestParseClusterEditors(t *testing.T) {
	for in, want := range map[string]string{
		"\ufeffa:1\nb:2\n":                      "[a:1 b:2]",
		"\ufeff# of ours\r\na:1\r\n\r\nb:2\r\n": "[a:1 b:2]",
		"\ufeff\r\na:1":                         "[a:1]",
		"[FE80::1%Eth0]:1\na_b-c.d:2\n":         "[[fe80::1%Eth0]:1 a_b-c.d:2]",
		"[::]:1\n0.0.0.0:2":                     "[[::]:1 0.0.0.0:2]",
	} {
		c, err := s4.ParseCluster(strings.NewReader(in), "conf")
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := fmt.Sprint(c.Servers); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// An address that two lines spell in two ways is one server.
func TestParseClusterSameServer(t *testing.T) {
	for _, pair := range [][2]string{
		{"0.0.0.0:1", "127.0.0.1:1"},
		{"0.0.0.0:1", "127.0.0.2:1"},
		{"0.0.0.0:1", "[::1]:1"},
		{"0.0.0.0:1", "[::]:1"},
		{"0.0.0.0:1", "[::ffff:0.0.0.0]:1"},
		{"0.0.0.0:1", "localhost:1"},
		{"[::]:1", "127.0.0.1:1"},
		{"[::]:1", "[::1]:1"},
		{"[::]:1", "localhost:1"},
		{"localhost:1", "127.0.0.1:1"},
		{"localhost:1", "[::1]:1"},
		{"localhost:1", "localhost.:1"},
		{"127.0.0.1:1", "[::ffff:127.0.0.1]:1"},
		{"10.0.0.1:1", "[::ffff:a00:1]:1"},
		{"[fe80::1%eth0]:1", "[fe80:0::1%eth0]:1"},
		{"a.example:1", "a.example.:1"},
	} {
		for _, p := range [][2]string{pair, {pair[1], pair[0]}} {
			_, err := s4.ParseCluster(strings.NewReader("# c\n"+p[0]+"\nz:1\n"+p[1]+"\n"), "conf")
			want := fmt.Sprintf("conf:4: %s is already on line 2, as %s", p[1], p[0])
			if err == nil || err.Error() != want {
				t.Errorf("%q: %v, want %s", p, err, want)
			}
		}
	}
}

// Servers whose addresses may differ are accepted.
func TestParseClusterOtherServers(t *testing.T) {
	for _, in := range []string{
		"127.0.0.1:1\n127.0.0.2:1\n[::1]:1\n",
		"localhost:1\n127.0.0.2:1\n",
		"0.0.0.0:1\n127.0.0.1:2\nlocalhost:3\n[::]:4\n",
		"0.0.0.0:1\n10.0.0.1:1\na:1\n[2001:db8::1]:1\n",
		"[fe80::1%a]:1\n[fe80::1%b]:1\n[fe80::1]:1\n",
		"a.example:1\nb.example:1\nnode1:1\n1a:1\n1.a:1\n",
		"0x.a:1\n0xfg:1\n",
	} {
		c, err := s4.ParseCluster(strings.NewReader(in), "conf")
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		var text string
		for _, s := range c.Servers {
			text += s.String() + "\n"
		}
		if text != in {
			t.Errorf("%q lists %q", in, text)
		}
	}
}

func TestThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"0.0.0.0": true, "::": true, "0:0:0:0:0:0:0:0": true, "::ffff:0.0.0.0": true,
		"127.0.0.1": false, "::1": false, "10.0.0.0": false, "localhost": false, "0": false,
	} {
		if got := (s4.Server{Address: host, Port: "1"}).ThisMachine(); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

func TestFingerprintIsOfOrder(t *testing.T) {
	parse := func(s string) uint64 {
		c, err := s4.ParseCluster(strings.NewReader(s), "f")
		if err != nil {
			t.Fatal(err)
		}
		return c.Fingerprint()
	}
	a := parse("a:1\nb:2\n")
	if b := parse("# x\n\n  A:001\nb:2 # y"); a != b {
		t.Errorf("the same list has %x and %x", a, b)
	}
	for _, other := range []string{"b:2\na:1\n", "a:1\n", "a:1\nb:2\nc:3", "a:12\nb:2"} {
		if parse(other) == a {
			t.Errorf("%q has the fingerprint of a:1, b:2", other)
		}
	}
}

func TestLoadCluster(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "conf")
	if err := os.WriteFile(path, []byte("a:1\nbad\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("S4_CONF_PATH", path)
	if _, err := s4.LoadCluster(""); err == nil || !strings.Contains(err.Error(), path+":2:") {
		t.Errorf("%v does not name %s:2", err, path)
	}
	t.Setenv("S4_CONF_PATH", "")
	t.Setenv("HOME", dir)
	home := filepath.Join(dir, ".s4.conf")
	if err := os.WriteFile(home, []byte("a:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := s4.LoadCluster(""); err != nil || c.Path != home || len(c.Servers) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// All functions that open a cluster file return fs.ErrNotExist if there is none.
func TestMissingClusterFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing")
	want := "cluster file " + path + " does not exist (write one host:port a line, or name another with --conf or $S4_CONF_PATH)"
	for name, open := range map[string]func() error{
		"Open":        func() error { _, err := s4.Open(path); return err },
		"LoadCluster": func() error { _, err := s4.LoadCluster(path); return err },
		"GetServers":  func() error { _, err := s4.GetServers(path); return err },
	} {
		err := open()
		if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	// A file that exists and cannot be read is not missing.
	if _, err := s4.Open(t.TempDir()); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory: %v", err)
	}
}

func FuzzParseCluster(f *testing.F) {
	for _, s := range []string{"a:1\n", "[::1]:1", "# x", "a:1\na:1", "127.0.0.1:1\nlocalhost:1\n[::]:1", "1.2.3:4", "[fe80::1%eth0]:7", "\xff:1", "a\x00:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		c, err := s4.ParseCluster(strings.NewReader(in), "name")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "name:") {
				t.Fatalf("%v does not name the file", err)
			}
			return
		}
		// What it lists can be read back, and is the same cluster.
		var text strings.Builder
		for _, s := range c.Servers {
			text.WriteString(s.String() + "\n")
		}
		again, err := s4.ParseCluster(strings.NewReader(text.String()), "again")
		if err != nil {
			t.Fatalf("%q from %q: %v", text.String(), in, err)
		}
		if !slices.Equal(again.Servers, c.Servers) || again.Fingerprint() != c.Fingerprint() {
			t.Fatalf("%q and %q", c.Servers, again.Servers)
		}
	})
}
