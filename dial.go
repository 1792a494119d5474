package s4

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// dialTimeout is how long a server may take to accept a connection.
const dialTimeout = 5 * time.Second

// Dial opens a protocol connection to server index of the cluster and
// exchanges preambles. timeout is the I/O timeout, 0 for the default. The
// caller owns the connection. Client's methods need no Dial; it is for
// servers that talk to their peers, and for tools.
func Dial(ctx context.Context, cluster *Cluster, index int, channel wire.Channel, timeout time.Duration, stats *xfer.Stats) (*xfer.Conn, error) {
	return dial(ctx, cluster, index, channel, func(tcp *net.TCPConn) (*xfer.Conn, error) {
		return xfer.NewConn(tcp, timeout, stats)
	})
}

// DialJob is Dial for the connections of a job, which is worth a wait: a server
// that does not answer, as one that is too busy to accept, is tried again until the
// I/O timeout is over. One that refuses has lost its part of the job, or has none.
func DialJob(ctx context.Context, cluster *Cluster, index int, channel wire.Channel, timeout time.Duration, stats *xfer.Stats) (*xfer.Conn, error) {
	limit := cmp.Or(timeout, xfer.DefaultTimeout)
	start := time.Now()
	for pause := dialPause; ; pause = min(2*pause, dialPauseMost) {
		conn, err := Dial(ctx, cluster, index, channel, timeout, stats)
		if !errors.As(err, new(noAnswer)) {
			return conn, err
		}
		wait := pause/2 + rand.N(pause) // servers that wait for one do not all come at once
		if time.Since(start)+wait >= limit {
			return nil, wire.Errorf(wire.CodeUnavailable, "cannot connect: no answer within %v", max(limit, dialTimeout))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Between two tries of DialJob, more or less.
const (
	dialPause     = 100 * time.Millisecond
	dialPauseMost = 2 * time.Second
)

// noAnswer is the error of a connection that nobody has accepted in time.
type noAnswer struct{ error }

func (e noAnswer) Unwrap() error { return e.error }

// dial is Dial with a choice of how to make the connection of a socket.
func dial(ctx context.Context, cluster *Cluster, index int, channel wire.Channel, newConn func(*net.TCPConn) (*xfer.Conn, error)) (*xfer.Conn, error) {
	addr := cluster.Servers[index].String()
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failed := wire.Errorf(wire.CodeUnavailable, "cannot connect: %s", dialReason(err))
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() && !errors.As(err, new(*net.DNSError)) {
			return nil, noAnswer{failed}
		}
		return nil, failed
	}
	conn, err := newConn(nc.(*net.TCPConn))
	if err != nil {
		return nil, err
	}
	conn.Check()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = greet(conn, wire.Preamble{
		Version:     wire.Version,
		Channel:     channel,
		Fingerprint: cluster.Fingerprint(),
		Index:       uint32(index),
	})
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// dialReason puts the usual failures to connect into few words.
func dialReason(err error) string {
	var ne net.Error
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &ne) && ne.Timeout():
		return fmt.Sprintf("no answer within %v", dialTimeout)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to host"
	}
	return err.Error()
}

// greet sends the client's preamble and checks the server's.
func greet(conn *xfer.Conn, mine wire.Preamble) error {
	if err := conn.WriteRaw(mine.Append(nil)); err != nil {
		return err
	}
	buf := make([]byte, wire.PreambleSize, wire.MaxRefusal)
	if err := conn.ReadRaw(buf[:len(wire.Magic)]); err != nil {
		return err
	}
	if string(buf[:4]) != wire.Magic {
		return refusal(conn, buf[:4])
	}
	if err := conn.ReadRaw(buf[4:]); err != nil {
		return err
	}
	theirs, err := wire.DecodePreamble(buf)
	if err != nil {
		return err
	}
	if theirs.Version != wire.Version {
		return wire.Errorf(wire.CodeVersion, "the server speaks protocol version %d, the client %d", theirs.Version, wire.Version)
	}
	if theirs.Fingerprint != mine.Fingerprint {
		return wire.Errorf(wire.CodeWrongCluster, "cluster file has fingerprint %016x here and %016x there", mine.Fingerprint, theirs.Fingerprint)
	}
	if mine.Index != wire.AnyServer && theirs.Index != mine.Index {
		return wire.Errorf(wire.CodeWrongServer, "server %d answers where server %d is listed", theirs.Index, mine.Index)
	}
	return nil
}

// refusal reads the rest of the line that a server sent in place of its
// preamble.
func refusal(conn *xfer.Conn, start []byte) error {
	line := start
	var b [1]byte
	for len(line) < wire.MaxRefusal {
		if err := conn.ReadRaw(b[:]); err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			return err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return wire.ParseRefusal(string(line))
}
