package cli

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var (
	errNoStdin  = errors.New("standard input is closed, or /dev/null opened for writing, too (give it something to read, or </dev/null for an empty key)")
	errNoStdout = errors.New("standard output is closed, or /dev/null opened for reading, too (give it somewhere to write to, or >/dev/null to check the key alone)")
)

// closedAtStart reports whether stream is a standard stream that was closed when the
// program was started. The Go runtime then opens /dev/null in its place, for reading
// and writing, so that no other file gets its number (checkfds in
// runtime/fds_unix.go). A shell opens /dev/null for only one of both.
//
// Some programs also start others with a /dev/null open for both, because they ignore
// the output (Python's subprocess.DEVNULL), which cannot be told from that. So this is
// only for data that would be lost, not for listings, and the error names both.
func closedAtStart(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok || f.Fd() > 2 {
		return false
	}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR
}
