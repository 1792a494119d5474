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

// Options change how a Client works. The zero value is good.
type Options struct {
	// IOTimeout is how long a server may be silent in mid transfer;
	// 0 means 30 s.
	IOTimeout time.Duration
	// Compress is what of puts and gets to compress on the wire.
	Compress Compression
}

// Client talks to the servers of one cluster. Its methods may be called by
// many goroutines at once. It keeps connections for reuse; Close closes them.
//
// Methods return *Error. Keys and prefixes are written s4://bucket/path.
type Client struct {
	cluster *Cluster
	opts    Options
	singles atomic.Int32                // gets of single keys under way
	silent  []atomic.Pointer[time.Time] // when a server last gave no answer about jobs

	data    *xfer.Pool[*xfer.Pipeline] // idle data connections
	control *xfer.Pool[*xfer.Conn]     // idle control connections
}

// maxIdle is how many idle connections of a kind are kept per server.
const maxIdle = 8

// NewClient returns a Client of the cluster. It connects when it must, not
// before. opts may be nil.
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
	return c
}

// Open returns a Client of the cluster whose file is at confPath, or if that is empty
// at $S4_CONF_PATH or ~/.s4.conf. If there is no such file, the error is
// fs.ErrNotExist.
func Open(confPath string) (*Client, error) {
	cluster, err := LoadCluster(confPath)
	if err != nil {
		return nil, err
	}
	return NewClient(cluster, nil), nil
}

// Cluster returns the cluster. The caller must not change it.
func (c *Client) Cluster() *Cluster { return c.cluster }

// Close closes the idle connections. Operations under way go on, and their
// connections are closed when they end.
func (c *Client) Close() error {
	c.data.Close()
	c.control.Close()
	return nil
}

// pipe returns a data pipeline to a server that nobody else uses. single says
// that the caller will get one key over it.
func (c *Client) pipe(ctx context.Context, server int, single bool) (*xfer.Pipeline, error) {
	if p, ok := c.data.Get(server); ok {
		return p, nil
	}
	d := c.cluster.Dialer(server, c.opts.IOTimeout)
	d.Blocking = single && c.singles.Load() <= fewSingles && len(c.cluster.Servers) <= fewServers
	conn, err := d.Dial(ctx, wire.ChannelData)
	if err != nil {
		return nil, err
	}
	return xfer.NewPipeline(conn), nil
}

// A get of a single key uses a connection that blocks a thread, if it is one of a
// few: with a large key it is the connection that is busy. A copy of many files is
// no faster for it. maxIdle connections to each server may be of that kind and be
// used again at once, so there must be few servers, too, if threads are to be few.
const (
	fewSingles = 16
	fewServers = 32
)

// requestKind is what is special about a request on a data connection. 0 is an
// ordinary one.
type requestKind byte

const (
	// mayBlock is for a request that reads or writes a file or reader of the
	// caller's, which may block for ever. Nobody waits for it after a cancel.
	mayBlock requestKind = 1 << iota
	// singleGet is for a get of one key.
	singleGet
)

// request runs one request on a data connection and waits for its end. If ctx
// ends first, the connection is closed, which ends the request soon, or when a Write
// under way to the caller's writer has: nothing is written after request has
// returned. One that mayBlock is not waited for.
func (c *Client) request(ctx context.Context, server int, kind requestKind, r xfer.Request) error {
	if kind&singleGet != 0 {
		c.singles.Add(1)
		defer c.singles.Add(-1)
	}
	p, err := c.pipe(ctx, server, kind&singleGet != 0)
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
		// Send sees it, too, unless it is stuck in a reader that pauses.
		select {
		case err = <-done:
			c.data.Put(server, p)
		case <-time.After(stuckTime):
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

// stuckTime is how long a request that has failed waits for a Send that may
// be stuck in the caller's reader.
const stuckTime = 200 * time.Millisecond

// controlConn returns a control connection to a server that nobody else uses.
func (c *Client) controlConn(ctx context.Context, server int) (*xfer.Conn, error) {
	if conn, ok := c.control.Get(server); ok {
		return conn, nil
	}
	d := c.cluster.Dialer(server, c.opts.IOTimeout)
	return d.Dial(ctx, wire.ChannelControl)
}

// ask sends m to one server on a control connection and lets each read the
// answers, until it reports that the last has come. An ERROR frame ends the
// exchange as its *wire.Error.
func (c *Client) ask(ctx context.Context, server int, flags byte, m wire.Message, each func(wire.Message) (last bool, err error)) error {
	conn, err := c.controlConn(ctx, server)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	quiet := conn.KeepAlive(nil) // each may block for as long as a pager
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

// roundTrip sends a request, unless it is nil because it was sent before, and lets each
// read the answers. See ask.
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
				conn.Close() // more of the answer may follow
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

// unexpected is the error for an answer of the wrong type.
func unexpected(m wire.Message) error {
	return wire.Errorf(wire.CodeBadRequest, "unexpected %s frame", m.Type())
}

// eachServer calls f for every server at once and waits for all. The first
// error cancels the others, and is returned with the server's index.
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

// isLost reports whether err means that a server cannot be reached, so that
// every other request to it will fail, too.
func isLost(err error) bool {
	var we *wire.Error
	if errors.As(err, &we) {
		switch we.Code {
		case wire.CodeUnavailable, wire.CodeWrongCluster, wire.CodeWrongServer, wire.CodeVersion, wire.CodeShuttingDown:
			return true
		}
		return false
	}
	var ne net.Error
	return errors.As(err, &ne)
}
