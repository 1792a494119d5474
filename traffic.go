package s4

import (
	"context"
	"errors"
	"sync"

	"github.com/nathants/s4/wire"
)

// Traffic is what a server has pushed to one server for a job.
type Traffic struct {
	Files int64
	Bytes int64
}

// JobTraffic returns the shuffle of a job as a matrix, by the servers of the cluster file:
// what the server of a row has pushed to that of a column, and on the diagonal what stayed
// where it was made. Rows of map and map-from-n are zero. A row is nil if its server has no
// part in the job, or does not answer; then the error says so, and the other rows are
// there. ErrNoJob if no server knows the job.
func (c *Client) JobTraffic(ctx context.Context, id string) ([][]Traffic, error) {
	num, err := parseJobID(id)
	if err != nil {
		return nil, err
	}
	rows := make([][]Traffic, len(c.cluster.Servers))
	err = c.eachOfJob(ctx, id, func(server int) error {
		return c.askJobs(ctx, server, &wire.JobTraffic{Job: num}, func(m wire.Message) (bool, error) {
			t, ok := m.(*wire.Traffic)
			if !ok {
				return true, unexpected(m)
			}
			row := make([]Traffic, len(rows))
			for _, p := range t.List {
				if uint64(p.Server) >= uint64(len(row)) {
					return true, wire.Errorf(wire.CodeBadRequest, "there is no server %d", p.Server)
				}
				row[p.Server] = Traffic{Files: int64(p.Files), Bytes: int64(p.Bytes)}
			}
			rows[server] = row
			return true, nil
		})
	})
	return rows, err
}

// RunningTasks returns the tasks of a job that run now, server by server, and on each the
// one that has run longest first. With an error of a server that does not answer come the
// tasks of the others. ErrNoJob if no server knows the job.
func (c *Client) RunningTasks(ctx context.Context, id string) ([]JobTask, error) {
	num, err := parseJobID(id)
	if err != nil {
		return nil, err
	}
	lists := make([][]JobTask, len(c.cluster.Servers))
	err = c.eachOfJob(ctx, id, func(server int) error {
		at := c.cluster.Servers[server]
		return c.askJobs(ctx, server, &wire.Running{Job: num}, func(m wire.Message) (bool, error) {
			switch m := m.(type) {
			case *wire.Tasks:
				for i := range m.List {
					lists[server] = append(lists[server], toTask(at, &m.List[i]))
				}
				return false, nil
			case *wire.End:
				return true, nil
			}
			return true, unexpected(m)
		})
	})
	var all []JobTask
	for _, list := range lists {
		all = append(all, list...)
	}
	return all, err
}

// eachOfJob calls ask for every server, at once. It returns the first error but those of
// servers that have no part in the job, or ErrNoJob if that is all of them.
func (c *Client) eachOfJob(ctx context.Context, id string, ask func(server int) error) error {
	errs := make([]error, len(c.cluster.Servers))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = ask(i) })
	}
	wg.Wait()
	known := false
	var first error
	for i, err := range errs {
		switch we, ok := errors.AsType[*wire.Error](err); {
		case err == nil:
			known = true
		case ok && we.Code == wire.CodeNoJob:
		case first == nil:
			first = c.opError(ctx, "jobs", "", i, err)
		}
	}
	if !known && first == nil {
		return &Error{Op: "jobs", Key: id, Kind: ErrNoJob}
	}
	return first
}
