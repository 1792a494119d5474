package s4

import (
	"cmp"
	"context"

	"github.com/nathants/s4/wire"
)

// ServerPlan is what a job would do on one server.
type ServerPlan struct {
	Server  Server
	Tasks   int64 // commands to run
	Skipped int64 // left out, because their output exists: JobOptions.Resume
	Keys    int64 // of input
	Bytes   int64 // in them
	Free    int64 // bytes free on the data file system
}

// Explain returns what a job would do on each server, in the order of the cluster file.
// It runs no task. Its errors are those that the job would have before its first task.
func (c *Client) Explain(ctx context.Context, verb Verb, indir, outdir, cmd string, opts *JobOptions) ([]ServerPlan, error) {
	if opts == nil {
		opts = new(JobOptions)
	}
	plain := *opts
	plain.Detach = false
	m, err := jobMessage(verb, indir, outdir, cmd, &plain)
	if err != nil {
		return nil, err
	}
	if err := c.findIndirs(ctx, m); err != nil {
		return nil, err
	}
	list, err := c.jobManifest(m, &plain)
	if err != nil {
		return nil, usage(string(verb), cmp.Or(indir, outdir), err)
	}
	co, err := c.Submit(ctx, m, list.source())
	if err != nil {
		return nil, c.notDir(ctx, verb, indir, err)
	}
	parts := co.parts // only Run changes them
	co.Discard(wire.Errorf(wire.CodeCanceled, "it was only to be explained"))
	health := c.Health(ctx)
	plans := make([]ServerPlan, len(parts))
	for i, p := range parts {
		if health[i].Err != nil {
			return nil, health[i].Err
		}
		plans[i] = ServerPlan{
			Server:  c.cluster.Servers[i],
			Tasks:   int64(p.ready.Tasks),
			Skipped: int64(p.ready.Skipped),
			Keys:    int64(p.ready.Keys),
			Bytes:   int64(p.ready.Bytes),
			Free:    health[i].Free,
		}
	}
	return plans, nil
}
