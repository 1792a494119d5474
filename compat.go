package s4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// The functions of this file are those of the original s4 package, with the same names
// and signatures, for programs that were written for it. Each makes a Client for one
// call, with the cluster's secret, if it has one, from $S4_SECRET_FILE. New code should
// use one Client for all.

// Err409 is ErrExists. Its old name is that of an HTTP status.
//
// Deprecated: use ErrExists.
var Err409 = ErrExists

// GetServers reads the cluster file at confPath, or if that is empty at
// $S4_CONF_PATH or ~/.s4.conf.
//
// Deprecated: use LoadCluster.
func GetServers(confPath string) ([]Server, error) {
	c, err := LoadCluster(confPath)
	if err != nil {
		return nil, err
	}
	return c.Servers, nil
}

// withClient runs f with a Client of the servers.
func withClient(servers []Server, f func(context.Context, *Client) error) error {
	if len(servers) == 0 {
		return errors.New("no servers")
	}
	secret, err := LoadSecret("")
	if err != nil {
		return err
	}
	c := NewClient(&Cluster{Servers: servers}, &Options{Secret: secret})
	defer c.Close()
	return f(context.Background(), c)
}

// Cp copies between local files and keys, as 's4 cp' does. One of src and dst starts
// with s4://. With recursive, both are directories, and the error is that of the first
// file that failed.
//
// Deprecated: use Client.Copy.
func Cp(src, dst string, recursive bool, servers []Server) error {
	return withClient(servers, func(ctx context.Context, c *Client) error {
		return c.Copy(ctx, src, dst, &CopyOptions{Recursive: recursive})
	})
}

// PutFile copies the local file src to the key dst; see Client.Copy. If the key
// exists, the error is Err409.
//
// Deprecated: use Client.PutFile.
func PutFile(src, dst string, servers []Server) error { return Cp(src, dst, false, servers) }

// PutReader writes all that src yields to the key dst. If the key exists, the error is
// Err409.
//
// Deprecated: use Client.Put.
func PutReader(src io.Reader, dst string, servers []Server) error {
	return withClient(servers, func(ctx context.Context, c *Client) error { return c.Put(ctx, dst, src, -1) })
}

// GetFile copies the key src to the local file dst; see Client.Copy.
//
// Deprecated: use Client.GetFile.
func GetFile(src, dst string, servers []Server) error { return Cp(src, dst, false, servers) }

// GetWriter writes the bytes of the key src to dst; see Client.Get.
//
// Deprecated: use Client.Get.
func GetWriter(src string, dst io.Writer, servers []Server) error {
	return withClient(servers, func(ctx context.Context, c *Client) error {
		_, err := c.Get(ctx, src, dst)
		return err
	})
}

// Rm removes a key, or with recursive all keys whose names begin with prefix. As in the
// original package, test-1 then removes test-10, too: Client.RemoveAll refuses that.
//
// Deprecated: use Client.RemoveAll.
func Rm(prefix string, recursive bool, servers []Server) error {
	return withClient(servers, func(ctx context.Context, c *Client) error {
		_, err := c.Remove(ctx, prefix, recursive)
		return err
	})
}

// Eval runs cmd with the key as standard input and returns its standard output. If the
// command fails, the error has its exit code and standard error.
//
// Deprecated: use Client.Eval.
func Eval(key, cmd string, servers []Server) (string, error) {
	var out, errs bytes.Buffer
	err := withClient(servers, func(ctx context.Context, c *Client) error {
		status, err := c.Eval(ctx, key, cmd, &out, &errs, nil)
		if err == nil && (status.Code != 0 || status.Signal != 0) {
			err = fmt.Errorf("eval %s: exit %d: %s", key, status.Code, strings.TrimSpace(errs.String()))
		}
		return err
	})
	return out.String(), err
}

// List returns a row of date, time, size and name for every key that begins with
// prefix. A directory has an empty date and time, and the size PRE.
//
// Deprecated: use Client.List.
func List(prefix string, recursive bool, servers []Server) ([][]string, error) {
	return rows(servers, func(ctx context.Context, c *Client) iter.Seq2[Entry, error] {
		return c.List(ctx, prefix, recursive)
	}, func(e Entry) string { return e.Shown(prefix, recursive) })
}

// ListBuckets returns a row of date, time, PRE and name for every bucket.
//
// Deprecated: use Client.Buckets.
func ListBuckets(servers []Server) ([][]string, error) {
	lines, err := rows(servers, func(ctx context.Context, c *Client) iter.Seq2[Entry, error] {
		return c.Buckets(ctx)
	}, func(e Entry) string { return e.Name })
	for _, l := range lines {
		l[2] = "PRE"
	}
	return lines, err
}

func rows(servers []Server, list func(context.Context, *Client) iter.Seq2[Entry, error], name func(Entry) string) ([][]string, error) {
	lines := [][]string{}
	err := withClient(servers, func(ctx context.Context, c *Client) error {
		for e, err := range list(ctx, c) {
			if err != nil {
				return err
			}
			if e.Dir {
				lines = append(lines, []string{"", "", "PRE", name(e)})
				continue
			}
			t := e.Modified.Local()
			lines = append(lines, []string{t.Format(time.DateOnly), t.Format(time.TimeOnly), strconv.FormatInt(e.Size, 10), name(e)})
		}
		return nil
	})
	return lines, err
}

// Map runs cmd for every key below indir; see Client.Map. progress, which may be nil, is
// called when the job makes progress.
//
// Deprecated: use Client.Map.
func Map(indir, outdir, cmd string, servers []Server, progress func()) error {
	return job((*Client).Map, indir, outdir, cmd, servers, progress)
}

// MapToN is the shuffle; see Client.MapToN and Map.
//
// Deprecated: use Client.MapToN.
func MapToN(indir, outdir, cmd string, servers []Server, progress func()) error {
	return job((*Client).MapToN, indir, outdir, cmd, servers, progress)
}

// MapFromN is the merge; see Client.MapFromN and Map.
//
// Deprecated: use Client.MapFromN.
func MapFromN(indir, outdir, cmd string, servers []Server, progress func()) error {
	return job((*Client).MapFromN, indir, outdir, cmd, servers, progress)
}

type verb func(c *Client, ctx context.Context, indir, outdir, cmd string, opts *JobOptions) (JobResult, error)

func job(run verb, indir, outdir, cmd string, servers []Server, progress func()) error {
	var opts JobOptions
	if progress != nil {
		opts.Progress = func(JobProgress) { progress() }
	}
	return withClient(servers, func(ctx context.Context, c *Client) error {
		_, err := run(c, ctx, indir, outdir, cmd, &opts)
		return err
	})
}
