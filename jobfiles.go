package s4

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/nathants/s4/names"
	"github.com/nathants/s4/wire"
	"github.com/nathants/s4/xfer"
)

// jobFile is a file that goes along with a job, open for reading.
type jobFile struct {
	*os.File
	name string
	size int64
	sum  uint64
	exec bool

	check func() error // fails if it has changed since it was opened
}

// openFiles opens and hashes the files that go along with a job.
func openFiles(list []JobFile) (files []*jobFile, err error) {
	defer func() {
		if err != nil {
			closeFiles(files)
		}
	}()
	paths := make(map[string]string) // by name
	for _, file := range list {
		name := filepath.Base(file.Path)
		if other, ok := paths[name]; ok {
			return files, fmt.Errorf("%s and %s have the same name", other, file.Path)
		}
		paths[name] = file.Path
		if err := names.CheckKey("b/" + name); err != nil { // as any key's last segment
			return files, fmt.Errorf("%s cannot go along with a job: %w", file.Path, err)
		}
		f, err := os.Open(file.Path)
		if err != nil {
			return files, err
		}
		files = append(files, &jobFile{File: f, name: name})
		last := files[len(files)-1]
		fi, err := f.Stat()
		if err != nil {
			return files, err
		}
		if !fi.Mode().IsRegular() {
			return files, fmt.Errorf("%s is not a regular file", file.Path)
		}
		last.check = unchanged(f, fi)
		if last.size, last.sum, err = xfer.Hash(f); err != nil {
			return files, err
		}
		if err := last.check(); err != nil {
			return files, err
		}
		last.exec = file.Exec || fi.Mode()&0o111 != 0
	}
	return files, nil
}

func closeFiles(files []*jobFile) {
	for _, f := range files {
		f.Close()
	}
}

// sendFiles sends the files to all servers, which must know the job and not
// have begun with it. Each gets one copy, whose checksum it checks.
func (c *Client) sendFiles(ctx context.Context, job uint64, files []*jobFile) error {
	if len(files) == 0 {
		return nil
	}
	server, err := c.eachServer(ctx, func(ctx context.Context, i int) error {
		for _, f := range files {
			if err := c.request(ctx, i, 0, assetRequest(job, f)); err != nil {
				return err
			}
		}
		return nil
	})
	return c.opError(ctx, "", "", server, err)
}

// assetRequest makes the request that uploads a file; Done is left to set.
func assetRequest(job uint64, f *jobFile) xfer.Request {
	head := &wire.Asset{Size: uint64(f.size), Job: job, Name: f.name}
	if f.exec {
		head.Exec = 1
	}
	return xfer.Request{
		Send: func(conn *xfer.Conn, tag uint16, refused func() bool) error {
			// All servers read from one open file at once.
			src := xfer.Source{R: io.NewSectionReader(f, 0, f.size), Size: f.size, Sum: &f.sum, Check: f.check}
			_, _, err := conn.SendStream(tag, head, 0, src, refused)
			return err
		},
		Recv: recvOK,
	}
}
