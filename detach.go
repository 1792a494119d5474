package s4

import (
	"context"
	"errors"

	"github.com/nathants/s4/wire"
)

// detach hands a job to one of the servers, which drives it. It returns when
// the job runs.
func (c *Client) detach(ctx context.Context, m *wire.Job, parcel *jobParcel, opts *JobOptions) (JobProgress, error) {
	server := int(m.ID % uint64(len(c.cluster.Servers)))
	var ready wire.Ready
	told := false // the server is there, and tells of errors
	err := func() error {
		d := c.dialer(server)
		conn, err := d.DialPatiently(ctx, wire.ChannelControl)
		if err != nil {
			return err
		}
		told = true
		j := newJobConn(conn, func() bool { return false })
		defer j.close()
		stop := context.AfterFunc(ctx, func() { j.giveUp(reasonOf(ctx, errAbandoned)) })
		defer stop()
		first := wire.Message(m)
		if parcel.manifest != nil {
			if err := j.Write(1, 0, m); err != nil {
				return err
			}
			if err := sendInputs(ctx, conn, parcel.manifest.all()); err != nil {
				return err
			}
			first = nil
		}
		err = j.roundTrip(first, func(m wire.Message) (bool, error) {
			r, ok := m.(*wire.Ready)
			if !ok {
				return true, unexpected(m)
			}
			ready = *r
			return true, nil
		})
		if err != nil {
			return err
		}
		if err := c.sendFiles(ctx, m.ID, parcel.files); err != nil {
			return err
		}
		if opts.Started != nil {
			opts.Started(jobID(m.ID))
		}
		if !stop() {
			return context.Cause(ctx)
		}
		if parcel.secrets != nil {
			if err := j.Write(1, 0, parcel.secrets); err != nil {
				return err
			}
		}
		// The OK to START is that of a job that was handed over.
		err = j.roundTrip(wire.Empty{T: wire.TypeStart}, func(m wire.Message) (bool, error) {
			return true, unexpected(m)
		})
		if errors.Is(err, errDiscarded) {
			err = nil
		}
		return err
	}()
	var we *wire.Error
	if errors.As(err, &we) && (told || we.Code != wire.CodeUnavailable) {
		server = -1 // it tells what another has said or that it cannot reach it, or names itself
	}
	return sumParts([]jobPart{{ready: ready}}), c.opError(ctx, m.Verb.String(), jobSubject(m), server, err)
}
