package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/xfer"
)

// bareBuffer is how much the bare programs read and write at a time.
const bareBuffer = 256 << 10

// bare is what one has who wants bytes moved and nothing else: one connection,
// the size known, no frames, no names, blocking system calls. It is the
// yardstick of put and get.
//
//	put  a client that sends F ── sendfile ──> a server that makes G
//	     ... | a client ── read, hash, write ──> the same, of any size
//	get  a client that receives [and makes G] <── sendfile ── a server that sends F
//
// The receiver hashes. For a put it answers with the hash, 8 bytes, when the
// file has its name, and the sender compares; for a get it compares itself.
type bare struct {
	Send bool   // or receive
	Addr string // to connect to; empty serves what connects to the socket that is standard input
	File string // to send, or to make; empty to receive into nothing
	Pipe bool   // send standard input, hashed on the way
	Sum         // what is moved; the size -1 is what comes until the end of the stream
}

// run is the hidden subcommand. A server's does not end.
func (b *bare) run() error {
	if b.Addr != "" {
		conn, err := net.Dial("tcp4", b.Addr)
		if err != nil {
			return err
		}
		return b.move(conn)
	}
	ln, err := net.FileListener(os.Stdin)
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		if err := b.move(conn); err != nil {
			fmt.Fprintln(os.Stderr, err) // the other side sees the connection end
		}
	}
}

// move does all of one connection.
func (b *bare) move(conn net.Conn) error {
	sock, err := blocking(conn)
	if err != nil {
		return err
	}
	defer sock.Close()
	sum := b.Hash
	switch {
	case b.Send && b.Pipe:
		_, sum, err = copySum(sock, os.Stdin)
	case b.Send:
		err = b.sendFile(sock)
	default:
		sum, err = b.recvFile(sock)
	}
	if err != nil {
		return err
	}
	serving := b.Addr == ""
	switch {
	case b.Send && serving:
		return nil
	case b.Send:
		if err := unix.Shutdown(int(sock.Fd()), unix.SHUT_WR); err != nil {
			return os.NewSyscallError("shutdown", err)
		}
		var answer [8]byte
		if _, err := io.ReadFull(sock, answer[:]); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		return compareSums(binary.BigEndian.Uint64(answer[:]), sum)
	case serving:
		_, err = sock.Write(binary.BigEndian.AppendUint64(nil, sum))
		return err
	}
	return compareSums(sum, b.Hash)
}

// blocking returns the connection as a file whose system calls block.
func blocking(conn net.Conn) (*os.File, error) {
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("a connection of %T", conn)
	}
	f, err := tcp.File()
	if err != nil {
		return nil, err
	}
	return f, unix.SetNonblock(int(f.Fd()), false)
}

func compareSums(got, want uint64) error {
	if got != want {
		return fmt.Errorf("xxh64 %016x came, and %016x was sent", got, want)
	}
	return nil
}

// sendFile sends the whole file by sendfile(2).
func (b *bare) sendFile(sock *os.File) error {
	f, err := os.Open(b.File)
	if err != nil {
		return err
	}
	defer f.Close()
	for left := b.Size; left > 0; {
		n, err := unix.Sendfile(int(sock.Fd()), int(f.Fd()), nil, int(min(left, 1<<30)))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("sendfile", err)
		}
		if n == 0 {
			return fmt.Errorf("%s has %d bytes less than %d", b.File, left, b.Size)
		}
		left -= int64(n)
	}
	return nil
}

// copySum reads, hashes and writes all of in, and returns its size and xxh64.
func copySum(out io.Writer, in io.Reader) (int64, uint64, error) {
	digest := xxhash.New()
	// Without the methods by which files copy themselves.
	n, err := io.CopyBuffer(io.MultiWriter(digest, out), struct{ io.Reader }{in}, make([]byte, bareBuffer))
	return n, digest.Sum64(), err
}

// recvFile receives into a file that has its name when all is there, or into
// nothing, and returns the xxh64.
func (b *bare) recvFile(sock *os.File) (_ uint64, err error) {
	var in io.Reader = sock
	if b.Size >= 0 {
		in = io.LimitReader(sock, b.Size)
	}
	out, publish := io.Discard, func() error { return nil }
	if b.File != "" {
		dir, err := os.Open(filepath.Dir(b.File))
		if err != nil {
			return 0, err
		}
		defer dir.Close()
		f, err := xfer.CreateTemp(int(dir.Fd()), 0o600)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if err := f.Preallocate(max(0, b.Size)); err != nil {
			return 0, err
		}
		out = f
		publish = func() error { return f.Publish(int(dir.Fd()), filepath.Base(b.File)) }
	}
	n, sum, err := copySum(out, in)
	if err == nil && b.Size >= 0 && n != b.Size {
		err = fmt.Errorf("%d bytes came of %d", n, b.Size)
	}
	if err != nil {
		return 0, err
	}
	return sum, publish()
}

// startBare starts a server, which ends with the row, and returns the command of its
// client, and the server's process.
func (e *Env) startBare(server, client bare) (Command, []int, error) {
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return Command{}, nil, err
	}
	defer ln.Close() // it is the server's
	f, err := ln.File()
	if err != nil {
		return Command{}, nil, err
	}
	defer f.Close()
	// It has nothing to tidy up, and never looks up from its system calls.
	d, err := e.startDaemon(bareName, e.itself(bareName, server), nil, syscall.SIGKILL, f)
	if err != nil {
		return Command{}, nil, err
	}
	e.AfterRow(d.stop)
	client.Addr = ln.Addr().String()
	return Command{Args: e.itself(bareName, client)}, []int{d.pid}, nil
}
