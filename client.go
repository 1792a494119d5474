package s4

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// Options change how a Client works. The zero value has the defaults.
type Options struct {
	// IOTimeout is how long a server may send nothing in the middle of a transfer;
	// 0 means 30 s.
	IOTimeout time.Duration
	// Compress says when puts and gets are compressed on the wire.
	Compress Compression
	// Secret is that of the cluster, if it has one: see LoadSecret. A server that has
	// none, or another, is refused.
	Secret Secret
}

// Client talks to the servers of one cluster. Its methods may be called by
// many goroutines at once. It keeps connections for reuse; Close closes them.
//
// Methods return *Error. Keys and prefixes are written s4://bucket/path.
type Client struct {
	cluster    *Cluster
	opts       Options
	dialer     func(server int) xfer.Dialer // how to connect to a server
	singleGets atomic.Int32                 // gets of single keys under way
	silent     []atomic.Pointer[time.Time]  // when a server last gave no answer about jobs

	data    *xfer.Pool[*xfer.Pipeline] // idle data connections
	control *xfer.Pool[*xfer.Conn]     // idle control connections
}

// maxIdle is how many idle connections of a kind are kept per server.
const maxIdle = 8

// NewClient returns a Client of the cluster. It does not connect: that happens with the
// first request to a server. opts may be nil.
func NewClient(cluster *Cluster, opts *Options) *Client {
	c := &Client{
		cluster: cluster,
		data:    xfer.NewPool[*xfer.Pipeline](len(cluster.Servers), maxIdle),
		control: xfer.NewPool[*xfer.Conn](len(cluster.Servers), maxIdle),
		silent:  make([]atomic.Pointer[time.Time], len(cluster.Servers)),
	}
	if opts != nil {
		c.opts = *opts
	}
	c.dialer = cluster.Dialers(c.opts.Secret, c.opts.IOTimeout)
	return c
}

// Open returns a Client of the cluster whose file is at confPath, or if that is empty
// at $S4_CONF_PATH or ~/.s4.conf. If there is no such file, the error is
// fs.ErrNotExist. The cluster's secret, if it has one, is read from $S4_SECRET_FILE.
func Open(confPath string) (*Client, error) {
	cluster, err := LoadCluster(confPath)
	if err != nil {
		return nil, err
	}
	secret, err := LoadSecret("")
	if err != nil {
		return nil, err
	}
	return NewClient(cluster, &Options{Secret: secret}), nil
}

// Cluster returns the cluster. The caller must not change it.
func (c *Client) Cluster() *Cluster { return c.cluster }

// Close closes the idle connections. Operations under way continue, and their
// connections are closed when they end.
func (c *Client) Close() error {
	c.data.Close()
	c.control.Close()
	return nil
}

// pipeline returns a data pipeline to a server, for this caller alone. single says that
// it is for a get of one key.
func (c *Client) pipeline(ctx context.Context, server int, single bool) (*xfer.Pipeline, error) {
	if p, ok := c.data.Get(server); ok {
		return p, nil
	}
	d := c.dialer(server)
	d.Blocking = single && c.singleGets.Load() <= maxBlockingGets && len(c.cluster.Servers) <= maxBlockingServers
	conn, err := d.Dial(ctx, wire.ChannelData)
	if err != nil {
		return nil, err
	}
	return xfer.NewPipeline(conn), nil
}

// A get of one key uses a connection that blocks a thread while it waits, which is
// cheaper for a large key (xfer.NewBlockingConn). A copy of many files gains nothing
// from it. The two limits bound the number of threads: up to maxIdle such connections to
// each server may be kept, and be in use again at the same time.
const (
	maxBlockingGets    = 16
	maxBlockingServers = 32
)

// requestKind is a set of flags that say what is special about a request on a data
// connection.
type requestKind byte

const (
	// mayBlock marks a request that reads or writes a file or reader of the caller's,
	// which may block for ever. After a cancel, request does not wait for it.
	mayBlock requestKind = 1 << iota
	// singleGet marks a get of one key.
	singleGet
)

// request runs one request on a data connection and waits for its end. If ctx ends
// first, request closes the connection and still waits, also for a Write to the caller's
// writer that is under way: nothing is written after it has returned. The exception is
// mayBlock.
func (c *Client) request(ctx context.Context, server int, kind requestKind, r xfer.Request) error {
	if ctx.Err() != nil { // the answer could be faster than the select below
		return context.Cause(ctx)
	}
	if kind&singleGet != 0 {
		c.singleGets.Add(1)
		defer c.singleGets.Add(-1)
	}
	p, err := c.pipeline(ctx, server, kind&singleGet != 0)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	r.Done = func(err error) { done <- err }
	failed := make(chan error, 1)
	if kind&mayBlock != 0 {
		recv := r.Recv
		r.Recv = func(conn *xfer.Conn, tag uint16) error {
			err := recv(conn, tag)
			if err != nil {
				failed <- err
			}
			return err
		}
	}
	go p.Do(r)
	select {
	case err = <-done:
		c.data.Put(server, p)
		return err
	case err = <-failed:
		// Send ends, too, unless it is stuck in a reader that pauses.
		select {
		case err = <-done:
			c.data.Put(server, p)
		case <-time.After(stuckTimeout):
			p.Abandon()
		case <-ctx.Done():
			p.Abandon()
		}
		return err
	case <-ctx.Done():
	}
	if kind&mayBlock != 0 {
		p.Abandon()
	} else {
		p.Close()
		<-done
	}
	return context.Cause(ctx)
}

// stuckTimeout is how long request waits, when the server has refused it, for a Send
// that may be stuck in the caller's reader.
const stuckTimeout = 200 * time.Millisecond

// controlConn returns a control connection to a server, for this caller alone.
func (c *Client) controlConn(ctx context.Context, server int) (*xfer.Conn, error) {
	if conn, ok := c.control.Get(server); ok {
		return conn, nil
	}
	d := c.dialer(server)
	return d.Dial(ctx, wire.ChannelControl)
}

// ask sends m to one server on a control connection, and calls each for every message of
// the answer, until each reports that it was the last. An ERROR frame ends the answer,
// and is returned as a *wire.Error.
func (c *Client) ask(ctx context.Context, server int, flags byte, m wire.Message, each func(wire.Message) (last bool, err error)) error {
	conn, err := c.controlConn(ctx, server)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	quiet := conn.KeepAlive(nil) // each may block, for example for a pager
	err = roundTrip(conn, flags, m, each)
	quiet()
	if !stop() {
		return context.Cause(ctx)
	}
	var we *wire.Error
	if err != nil && !errors.As(err, &we) {
		conn.Close()
	}
	c.control.Put(server, conn)
	return err
}

// roundTrip is ask on a connection. A nil m is a request that was sent before. It
// closes the connection if more of the answer may follow.
func roundTrip(conn *xfer.Conn, flags byte, m wire.Message, each func(wire.Message) (bool, error)) error {
	if m != nil {
		if err := conn.Write(1, flags, m); err != nil {
			return err
		}
	}
	for {
		h, reply, err := conn.Read()
		if err != nil {
			if h.Type != wire.TypeError {
				conn.Close()
			}
			return err
		}
		last, err := each(reply)
		if err != nil {
			conn.Close()
		}
		if last || err != nil {
			return err
		}
	}
}

// unexpected returns the error for a message of the wrong type.
func unexpected(m wire.Message) error {
	return wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", m.Type())
}

// eachServer calls f for all servers in parallel and waits for all calls. The first
// error cancels the others. It is returned with the index of its server, or else -1.
func (c *Client) eachServer(ctx context.Context, f func(ctx context.Context, server int) error) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first int
		cause error
	)
	for i := range c.cluster.Servers {
		wg.Go(func() {
			if err := f(ctx, i); err != nil {
				once.Do(func() {
					first, cause = i, err
					cancel()
				})
			}
		})
	}
	wg.Wait()
	if cause == nil {
		return -1, nil
	}
	return first, cause
}

// isLost reports whether err means that a server cannot be reached, so that other
// requests to it would fail as well.
func isLost(err error) bool {
	var we *wire.Error
	if errors.As(err, &we) {
		switch we.Code {
		case wire.CodeUnavailable, wire.CodeWrongCluster, wire.CodeWrongServer, wire.CodeVersion, wire.CodeUnauthenticated, wire.CodeShuttingDown:
			return true
		}
		return false
	}
	var ne net.Error
	return errors.As(err, &ne)
}
