package s4

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// parseHost checks a host name or address and returns it in lower case. The zone
// of an IPv6 address keeps its case, as names of network interfaces have one.
func parseHost(host string) (string, error) {
	name, zone, zoned := strings.Cut(host, "%")
	for _, part := range []string{strings.ReplaceAll(name, ":", ""), zone} {
		if i := strings.IndexFunc(part, notInHost); i >= 0 {
			r, _ := utf8.DecodeRuneInString(part[i:])
			return "", fmt.Errorf("%q is in no host name", r)
		}
	}
	switch {
	case name == "":
		return "", errors.New("it is empty")
	case strings.Contains(name, ":"):
		if _, err := netip.ParseAddr(host); err != nil {
			return "", errors.New("it is no IPv6 address")
		}
	case zoned:
		return "", errors.New("only IPv6 addresses have a zone")
	case endsInNumber(name):
		if _, err := netip.ParseAddr(name); err != nil {
			return "", errors.New("it is no IPv4 address (four numbers from 0 to 255, without leading zeros), and no host name ends in a number")
		}
	}
	return strings.ToLower(name) + host[len(name):], nil
}

// notInHost reports whether a host name cannot contain r. The underscore is
// accepted because DNS and /etc/hosts accept it.
func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

// endsInNumber reports whether the last part of a host is a number, decimal or
// hexadecimal. Resolvers take such a host for an IPv4 address, also one that is
// written in an unusual way, such as 127.1 (inet_aton(3)). The rule is that of
// https://url.spec.whatwg.org/#ends-in-a-number-checker.
func endsInNumber(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = hex, digits+"abcdef"
		if hex == "" {
			return true
		}
	}
	return last != "" && strings.Trim(last, digits) == ""
}

// Two names that stand for many addresses of this machine. No host is written so.
const (
	anyLoopback = "a loopback address"
	wildcard    = "all addresses"
)

// addresses returns under which addresses s takes connections, each in one spelling,
// and with which addresses of another server of the same port that collides. Names
// are compared as they are written: nothing is looked up.
func (s Server) addresses() (takes, collides []string) {
	ip, err := netip.ParseAddr(s.Address)
	ip = ip.Unmap()
	name := strings.TrimSuffix(s.Address, ".")
	switch {
	case err != nil && name == "localhost":
		return []string{"127.0.0.1", "::1", anyLoopback}, []string{"127.0.0.1", "::1", wildcard}
	case err != nil:
		return []string{name}, []string{name}
	case ip.IsUnspecified():
		return []string{wildcard, anyLoopback}, []string{anyLoopback}
	case ip.IsLoopback():
		return []string{ip.String(), anyLoopback}, []string{ip.String(), wildcard}
	}
	return []string{ip.String()}, []string{ip.String()}
}

// serverLines remembers the servers of a cluster file and their lines, by address
// and port, to find one that is listed twice.
type serverLines map[Server]serverLine

type serverLine struct {
	server Server
	line   int
}

// add remembers a server, or fails if an earlier line has the same one.
func (l serverLines) add(s Server, line int) error {
	takes, collides := s.addresses()
	for _, a := range collides {
		switch first, ok := l[Server{a, s.Port}]; {
		case ok && first.server == s:
			return fmt.Errorf("%s is already on line %d", s, first.line)
		case ok:
			return fmt.Errorf("%s is already on line %d, as %s", s, first.line, first.server)
		}
	}
	for _, a := range takes {
		if _, ok := l[Server{a, s.Port}]; !ok {
			l[Server{a, s.Port}] = serverLine{s, line}
		}
	}
	return nil
}
