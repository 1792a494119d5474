package s4

import (
	"context"
	"io"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// GetRange writes length bytes of a key from offset on to w, fewer if the key ends
// before, and returns what the key is. An offset after the end is ErrBadRequest, and a
// length of 0 writes nothing. Only these bytes are sent, and they are checked for damage
// on the way; the checksum of the key, which is of all its bytes, is not compared.
func (c *Client) GetRange(ctx context.Context, key string, offset, length int64, w io.Writer) (Object, error) {
	name, err := names.ParseKey(key)
	if err != nil {
		return Object{}, usage("get", key, err)
	}
	if offset < 0 || length < 0 {
		return Object{}, usage("get", key, wire.Errorf(wire.CodeBadRequest, "the range is from %d, of %d bytes", offset, length))
	}
	if length == 0 { // a request without a length would be for all
		return c.Stat(ctx, key)
	}
	server := c.cluster.Place(name)
	var o Object
	r := c.getRequest(name, func(conn *xfer.Conn, m *wire.Object) error {
		o = toObject(m)
		stop := conn.KeepAlive(nil) // a Write to w may block for hours
		defer stop()
		n, _, err := conn.Recv(w, nil) // which compares the checksum of the range
		if want := max(min(length, o.Size-offset), 0); err == nil && n != want {
			err = wire.Errorf(wire.CodeChecksum, "%d bytes came, %d were asked for", n, want)
		}
		return err
	})
	r.Send = func(conn *xfer.Conn, tag uint16, _ func() bool) error {
		if conn.Features()&wire.FeatureRange == 0 {
			conn.Close() // no answer comes
			return wire.Errorf(wire.CodeUnsupported, "it sends whole keys only")
		}
		return conn.Write(tag, c.opts.Compress.flags(), &wire.Get{Key: name, Offset: uint64(offset), Length: uint64(length)})
	}
	if err := c.request(ctx, server, singleGet, r); err != nil {
		return Object{}, c.opError(ctx, "get", key, server, damagedOutput(err))
	}
	return o, nil
}
