package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/cespare/xxhash/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/nathants/s4/xfer"
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
func (b *bare) serve(handle func(sock *os.File) error) error {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		sock, err := blocking(conn)
		if err == nil {
			err = errors.Join(handle(sock), sock.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err) // the other side sees the connection end
		}
	}
}

func (b *bare) dial() (*os.File, error) {
	conn, err := net.Dial("tcp4", b.connect)
	if err != nil {
		return nil, err
	}
	return blocking(conn)
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
		_, want, err = b.copy(sock, os.Stdin)
	} else {
		err = b.sendFile(sock)
	}
	if err != nil {
		return err
	}
	if err := unix.Shutdown(int(sock.Fd()), unix.SHUT_WR); err != nil {
		return os.NewSyscallError("shutdown", err)
	}
	var answer [8]byte
	if _, err := io.ReadFull(sock, answer[:]); err != nil {
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
func (b *bare) sendFile(sock *os.File) error {
	f, err := os.Open(b.file)
	if err != nil {
		return err
	}
	defer f.Close()
	for left := b.size; left > 0; {
		n, err := unix.Sendfile(int(sock.Fd()), int(f.Fd()), nil, int(min(left, 1<<30)))
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

// copy reads, hashes and writes all of in, and returns its size and xxh64.
func (b *bare) copy(out io.Writer, in io.Reader) (int64, uint64, error) {
	if b.buf == nil {
		b.buf = make([]byte, bareBuffer)
	}
	digest := xxhash.New()
	// Without the methods by which files copy themselves.
	n, err := io.CopyBuffer(io.MultiWriter(digest, out), struct{ io.Reader }{in}, b.buf)
	return n, digest.Sum64(), err
}

// recv is the subcommand bare-recv.
func (b *bare) recv() error {
	if b.listen {
		return b.serve(func(sock *os.File) error {
			sum, err := b.recvFile(sock)
			if err != nil {
				return err
			}
			_, err = sock.Write(binary.BigEndian.AppendUint64(nil, sum))
			return err
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
func (b *bare) recvFile(sock *os.File) (_ uint64, err error) {
	var in io.Reader = sock
	if b.size >= 0 {
		in = io.LimitReader(sock, b.size)
	}
	out, publish := io.Writer(io.Discard), func() error { return nil }
	if b.file != "" {
		dir, err := os.Open(filepath.Dir(b.file))
		if err != nil {
			return 0, err
		}
		defer dir.Close()
		f, err := xfer.CreateTemp(int(dir.Fd()), 0o600)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if err := f.Preallocate(max(0, b.size)); err != nil {
			return 0, err
		}
		out = f
		publish = func() error { return f.Publish(int(dir.Fd()), filepath.Base(b.file)) }
	}
	n, sum, err := b.copy(out, in)
	if err == nil && b.size >= 0 && n != b.size {
		err = fmt.Errorf("%d bytes came of %d", n, b.size)
	}
	if err != nil {
		return 0, err
	}
	return sum, publish()
}
