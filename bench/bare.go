package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// The names of the hidden subcommands.
const (
	measureName  = "measure"
	bareSendName = "bare-send"
	bareRecvName = "bare-recv"
)

// bareBuffer is how much the bare programs read and write at a time.
const bareBuffer = 256 << 10

// bare is what one has who wants bytes moved and nothing else: one connection,
// the size known, no frames, no names, blocking system calls. It is the
// yardstick of put and get.
//
//	put  bare-send --connect --file F ── sendfile ──> bare-recv --listen --file G
//	     ... | bare-send --connect --pipe ── read, hash, write ──> the same with --size -1
//	get  bare-recv --connect [--file G] <── sendfile ── bare-send --listen --file F
//
// The receiver hashes. For a put it answers with the hash, 8 bytes, when the
// file has its name, and the sender compares; for a get it compares itself.
type bare struct {
	listen  bool   // serve one connection after the other, and print the address
	connect string // host:port
	file    string // to send, or to make; empty to receive into nothing
	pipe    bool   // send standard input, hashed on the way
	size    int64  // -1 is what comes until the end of the stream
	sum     uint64 // xxh64 that must have come
	buf     []byte // one for all connections
}

func (b *bare) command(name string, run func() error) *cobra.Command {
	cmd := &cobra.Command{Use: name, Hidden: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		if err := run(); err != nil {
			return failure{err}
		}
		return nil
	}}
	f := cmd.Flags()
	f.BoolVar(&b.listen, "listen", false, "")
	f.StringVar(&b.connect, "connect", "", "")
	f.StringVar(&b.file, "file", "", "")
	f.BoolVar(&b.pipe, "pipe", false, "")
	f.Int64Var(&b.size, "size", -1, "")
	f.Uint64Var(&b.sum, "sum", 0, "")
	return cmd
}

// serve accepts one connection after the other, for ever.
func (b *bare) serve(handle func(sock int) error) error {
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(ln, 16); err != nil {
		return os.NewSyscallError("listen", err)
	}
	sa, err := unix.Getsockname(ln)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	in4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return fmt.Errorf("listening on %T", sa)
	}
	fmt.Println(netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)))
	for {
		sock, _, err := unix.Accept4(ln, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("accept", err)
		}
		if err := handle(sock); err != nil {
			fmt.Fprintln(os.Stderr, err) // the other side sees the connection end
		}
		unix.Close(sock)
	}
}

func (b *bare) dial() (int, error) {
	addr, err := netip.ParseAddrPort(b.connect)
	if err != nil || !addr.Addr().Is4() {
		return 0, &net.AddrError{Err: "not an IPv4 address and port", Addr: b.connect}
	}
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	err = unix.Connect(sock, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())})
	return sock, os.NewSyscallError("connect", err)
}

// send is the subcommand bare-send.
func (b *bare) send() error {
	if b.listen {
		return b.serve(b.sendFile)
	}
	sock, err := b.dial()
	if err != nil {
		return err
	}
	want := b.sum
	if b.pipe {
		want, err = b.sendPipe(sock)
	} else {
		err = b.sendFile(sock)
	}
	if err != nil {
		return err
	}
	if err := unix.Shutdown(sock, unix.SHUT_WR); err != nil {
		return os.NewSyscallError("shutdown", err)
	}
	var answer [8]byte
	if err := readFull(sock, answer[:]); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return compareSums(binary.BigEndian.Uint64(answer[:]), want)
}

func compareSums(got, want uint64) error {
	if got != want {
		return fmt.Errorf("xxh64 %016x came, and %016x was sent", got, want)
	}
	return nil
}

// sendFile sends the whole file by sendfile(2).
func (b *bare) sendFile(sock int) error {
	fd, err := unix.Open(b.file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: b.file, Err: err}
	}
	defer unix.Close(fd)
	for left := b.size; left > 0; {
		n, err := unix.Sendfile(sock, fd, nil, int(min(left, 1<<30)))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("sendfile", err)
		}
		if n == 0 {
			return fmt.Errorf("%s has %d bytes less than %d", b.file, left, b.size)
		}
		left -= int64(n)
	}
	return nil
}

// sendPipe sends standard input and returns its xxh64.
func (b *bare) sendPipe(sock int) (uint64, error) {
	var digest xxhash.Digest
	digest.Reset()
	buf := make([]byte, bareBuffer)
	for {
		n, err := read(0, buf)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return digest.Sum64(), nil
		}
		_, _ = digest.Write(buf[:n])
		if err := write(sock, buf[:n]); err != nil {
			return 0, err
		}
	}
}

// recv is the subcommand bare-recv.
func (b *bare) recv() error {
	b.buf = make([]byte, bareBuffer)
	if b.listen {
		return b.serve(func(sock int) error {
			sum, err := b.recvFile(sock)
			if err != nil {
				return err
			}
			return write(sock, binary.BigEndian.AppendUint64(nil, sum))
		})
	}
	sock, err := b.dial()
	if err != nil {
		return err
	}
	sum, err := b.recvFile(sock)
	if err != nil {
		return err
	}
	return compareSums(sum, b.sum)
}

// recvFile receives into a file that has its name when all is there, or into
// nothing, and returns the xxh64.
func (b *bare) recvFile(sock int) (uint64, error) {
	out := -1
	if b.file != "" {
		var err error
		if out, err = unix.Open(filepath.Dir(b.file), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600); err != nil {
			return 0, os.NewSyscallError("open O_TMPFILE", err)
		}
		defer unix.Close(out)
		if b.size > 0 {
			if err := unix.Fallocate(out, 0, 0, b.size); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
				return 0, os.NewSyscallError("fallocate", err)
			}
		}
	}
	var digest xxhash.Digest
	digest.Reset()
	var total int64
	for b.size < 0 || total < b.size {
		n, err := read(sock, b.buf)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			break
		}
		total += int64(n)
		_, _ = digest.Write(b.buf[:n])
		if out >= 0 {
			if err := write(out, b.buf[:n]); err != nil {
				return 0, err
			}
		}
	}
	if b.size >= 0 && total != b.size {
		return 0, fmt.Errorf("%d bytes came of %d", total, b.size)
	}
	if out >= 0 {
		// linkat(2): how an unnamed file gets a name without a privilege.
		if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", out), unix.AT_FDCWD, b.file, unix.AT_SYMLINK_FOLLOW); err != nil {
			return 0, os.NewSyscallError("linkat", err)
		}
	}
	return digest.Sum64(), nil
}

func read(fd int, p []byte) (int, error) {
	for {
		n, err := unix.Read(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return n, os.NewSyscallError("read", err)
		}
	}
}

func readFull(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := read(fd, p)
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("the connection ended")
		}
		p = p[n:]
	}
	return nil
}

func write(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		p = p[n:]
	}
	return nil
}
