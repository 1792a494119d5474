package bench

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/nathants/s4/cli/s3/s3test/sigv4"
)

// plainConns is how many requests a plain client has under way: more are no faster on
// two cores.
const plainConns = 8

// plainObjects is a client that does no more than the requests, one for each object:
// what an S3 server can do. It puts the files of a directory, or gets objects, which go
// nowhere.
type plainObjects struct {
	Client sigv4.Client
	Prefix string
	Dir    string // to put; empty gets
}

// run is the hidden subcommand.
func (p plainObjects) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.Client.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: plainConns, DisableCompression: true}}
	names, err := p.names(ctx)
	if err != nil {
		return err
	}
	next := make(chan string, len(names))
	for _, name := range names {
		next <- name
	}
	close(next)
	var wg sync.WaitGroup
	for range plainConns {
		wg.Go(func() {
			buf := make([]byte, bareBuffer)
			for name := range next {
				if err := p.one(ctx, name, buf); err != nil {
					cancel(fmt.Errorf("%s: %w", name, err))
				}
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// names returns the files, or the keys.
func (p plainObjects) names(ctx context.Context) (names []string, err error) {
	if p.Dir != "" {
		list, err := os.ReadDir(p.Dir)
		for _, d := range list {
			names = append(names, d.Name())
		}
		return names, err
	}
	// One page: there are no more objects.
	resp, err := p.Client.Do(ctx, sigv4.Request{Method: http.MethodGet, Bucket: s3Bucket, Query: url.Values{"list-type": {"2"}, "prefix": {p.Prefix + "/"}}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var page struct{ Contents []struct{ Key string } }
	err = xml.NewDecoder(resp.Body).Decode(&page)
	for _, o := range page.Contents {
		names = append(names, o.Key)
	}
	return names, err
}

func (p plainObjects) one(ctx context.Context, name string, buf []byte) error {
	r := sigv4.Request{Method: http.MethodGet, Bucket: s3Bucket, Key: name}
	if p.Dir != "" {
		f, err := os.Open(filepath.Join(p.Dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		r = sigv4.Request{Method: http.MethodPut, Bucket: s3Bucket, Key: p.Prefix + "/" + name, Body: f, Size: fi.Size()}
	}
	resp, err := p.Client.Do(ctx, r)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
	return errors.Join(err, resp.Body.Close())
}
