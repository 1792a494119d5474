package s4

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Server is one server of a cluster: a host name or address, without brackets,
// and a port.
type Server struct {
	Address string
	Port    string
}

// String returns host:port, an IPv6 address in brackets.
func (s Server) String() string { return net.JoinHostPort(s.Address, s.Port) }

// ThisMachine reports whether the server's address is 0.0.0.0 or ::. In a cluster file
// that means the machine on which the file is read, for a cluster on one host.
func (s Server) ThisMachine() bool {
	a, err := netip.ParseAddr(s.Address)
	return err == nil && a.Unmap().IsUnspecified()
}

// dialAddress returns the address to connect to. For ThisMachine it is the loopback
// address of the same family.
func (s Server) dialAddress() string {
	switch {
	case !s.ThisMachine():
		return s.String()
	case strings.Contains(s.Address, ":"):
		return net.JoinHostPort("::1", s.Port)
	}
	return net.JoinHostPort("127.0.0.1", s.Port)
}

// Cluster is an ordered list of servers. The order decides where keys live.
type Cluster struct {
	Servers []Server
	Path    string // the file it was read from, or empty
}

// confPath returns which cluster file to use: flag if not empty, else
// $S4_CONF_PATH, else ~/.s4.conf.
func confPath(flag string) string {
	if flag != "" {
		return flag
	}
	if p := os.Getenv("S4_CONF_PATH"); p != "" {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".s4.conf")
}

// LoadCluster reads the cluster file at path, or if path is empty at $S4_CONF_PATH
// or ~/.s4.conf. If there is no such file, the error is fs.ErrNotExist.
func LoadCluster(path string) (*Cluster, error) {
	path = confPath(path)
	b, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &noClusterFile{path, err}
		}
		return nil, fmt.Errorf("cluster file: %w", err)
	}
	return ParseCluster(bytes.NewReader(b), path)
}

// noClusterFile is the error for a cluster file that does not exist.
type noClusterFile struct {
	path string
	err  error
}

func (e *noClusterFile) Error() string {
	return "cluster file " + e.path + " does not exist (write one host:port a line, or name another with --conf or $S4_CONF_PATH)"
}

// Unwrap makes the error an fs.ErrNotExist.
func (e *noClusterFile) Unwrap() error { return e.err }

// ParseCluster reads a cluster file, which has one host:port a line. It ignores blank
// lines, everything from # on, and the byte order mark and carriage returns that some
// editors write. A server that is listed twice is an error, also if its address is
// spelled in two ways. Errors have the name of the file, which is name, and the line.
func ParseCluster(r io.Reader, name string) (*Cluster, error) {
	c := &Cluster{Path: name}
	seen := make(serverLines)
	sc := bufio.NewScanner(r)
	n := 0
	for sc.Scan() {
		text := sc.Text()
		if n++; n == 1 {
			text = strings.TrimPrefix(text, byteOrderMark)
		}
		line, _, _ := strings.Cut(text, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		s, err := parseServer(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := seen.add(s, n); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		c.Servers = append(c.Servers, s)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("%s:%d: no servers (write one host:port a line)", name, n+1)
	}
	return c, nil
}

// byteOrderMark is U+FEFF. Some editors put it at the start of a file in UTF-8.
const byteOrderMark = "\uFEFF"

func parseServer(line string) (Server, error) {
	host, port, err := net.SplitHostPort(line)
	if len(line) > 80 {
		line = line[:80] // from here on only quoted in errors
	}
	if err != nil {
		return Server{}, fmt.Errorf("%q is not host:port (an IPv6 address is written [addr]:port)", line)
	}
	host, err = parseHost(host)
	if err != nil {
		return Server{}, fmt.Errorf("%q has no valid host: %w", line, err)
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || p == 0 {
		return Server{}, fmt.Errorf("%q has a bad port (1 to 65535)", line)
	}
	return Server{Address: host, Port: strconv.FormatUint(p, 10)}, nil
}

// Fingerprint identifies the servers and their order. It is the xxh64 of all host:port,
// each followed by a newline. Client and server compare theirs when they connect.
func (c *Cluster) Fingerprint() uint64 {
	var d xxhash.Digest
	d.Reset()
	for _, s := range c.Servers {
		_, _ = d.WriteString(s.String())
		_, _ = d.WriteString("\n")
	}
	return d.Sum64()
}
