package exec

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Terminal is a pseudoterminal (pty(7)), for a Cmd with Session.
type Terminal struct {
	// Master is the user's side: what is written to it is typed, what is read from it is
	// on the screen. It takes deadlines. A Read fails with EIO when no process has the
	// other side open any more, and all was read.
	Master *os.File

	// Slave is the command's side, for its Stdin, Stdout and Stderr.
	Slave *os.File
}

// OpenTerminal makes a terminal of that size, in characters. The caller closes it.
func OpenTerminal(columns, rows uint16) (*Terminal, error) {
	const ptmx = "/dev/ptmx"
	fd, err := unix.Open(ptmx, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: ptmx, Err: err}
	}
	t := &Terminal{Master: os.NewFile(uintptr(fd), ptmx)}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, errors.Join(os.NewSyscallError("TIOCSPTLCK", err), t.Close())
	}
	// Not by its name, which in another mount namespace may be that of another terminal.
	// The argument is that of open(2), see ioctl_tty(2), TIOCGPTPEER.
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, errors.Join(os.NewSyscallError("TIOCGPTPEER", errno), t.Close())
	}
	t.Slave = os.NewFile(slave, "/dev/pts")
	if err := t.Resize(columns, rows); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Resize changes the terminal's size. The kernel tells the processes in its foreground,
// by SIGWINCH.
func (t *Terminal) Resize(columns, rows uint16) error {
	raw, err := t.Master.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows})
	})
	return errors.Join(err, os.NewSyscallError("TIOCSWINSZ", set))
}

// Close closes what is open of both sides.
func (t *Terminal) Close() error {
	err := t.Master.Close()
	if t.Slave != nil {
		if serr := t.Slave.Close(); !errors.Is(serr, os.ErrClosed) {
			err = errors.Join(err, serr)
		}
	}
	return err
}

// isTerminal reports whether fd is a terminal.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
