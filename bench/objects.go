package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nathants/s4/cli/s3/s3test/sigv4"
	"github.com/nathants/s4/cli/s3/s3test/versity"
)

// s3Bucket is the only bucket of an objectStore.
const s3Bucket = "bench"

// objectStore is an S3 server for a row: versitygw, whose objects are files.
type objectStore struct {
	client sigv4.Client
	dir    string // BUCKET/KEY below it are the objects
	daemon *daemon
}

// startObjects starts an S3 server with an empty bucket. It ends with the row.
func (e *Env) startObjects(ctx context.Context) (*objectStore, error) {
	path, err := versity.Path()
	if err != nil {
		return nil, &NotHere{err.Error()}
	}
	s := &objectStore{
		client: sigv4.Client{Region: "us-east-1", AccessKey: "s4-bench", SecretKey: "not-a-secret"},
		dir:    filepath.Join(e.RowDir, "objects"),
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, err
	}
	for range startTries {
		if err = s.start(ctx, e, path); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start versitygw: %w", err)
	}
	e.AfterRow(s.daemon.stop)
	return s, s.do(ctx, sigv4.Request{Method: http.MethodPut, Bucket: s3Bucket})
}

func (s *objectStore) start(ctx context.Context, e *Env, path string) error {
	addrs, err := freeAddrs(1)
	if err != nil {
		return err
	}
	s.client.Endpoint = "http://" + addrs[0]
	args, env := versity.Command(path, s.dir, addrs[0], s.client.AccessKey, s.client.SecretKey)
	if s.daemon, err = e.startDaemon("versitygw", args, env, syscall.SIGKILL, nil); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		return errors.Join(err, s.daemon.stop())
	}
	return nil
}

// await waits until the server answers.
func (s *objectStore) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.client.Endpoint+versity.HealthPath, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if dead := s.daemon.alive(); dead != nil {
			return dead
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// env is the environment in which programs find the credentials, and none of the
// user's own. Without a server it is empty.
func (s *objectStore) env() []string {
	if s == nil {
		return nil
	}
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.client.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s.client.SecretKey, "AWS_SESSION_TOKEN=",
		"AWS_REGION=" + s.client.Region, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_PROFILE=", "AWS_CA_BUNDLE=",
	}
}

// do sends a request of which only the outcome counts.
func (s *objectStore) do(ctx context.Context, r sigv4.Request) error {
	resp, err := s.client.Do(ctx, r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}

// path is the directory of the objects below a prefix.
func (s *objectStore) path(prefix string) string { return filepath.Join(s.dir, s3Bucket, prefix) }

// putTree stores the files of a directory, with the checksum that SDKs send.
func (s *objectStore) putTree(ctx context.Context, dir, prefix string) error {
	table := crc64.MakeTable(crc64NVME)
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := crc64.New(table)
		size, err := io.Copy(sum, f)
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			return err
		}
		return s.do(ctx, sigv4.Request{
			Method: http.MethodPut, Bucket: s3Bucket, Key: prefix + "/" + filepath.ToSlash(path[len(dir)+1:]), Body: f, Size: size,
			Header: http.Header{"X-Amz-Checksum-Crc64nvme": {base64.StdEncoding.EncodeToString(sum.Sum(nil))}},
		})
	})
}

// crc64NVME is the reversed polynomial of CRC-64/NVME (NVM Express NVM Command Set
// Specification, "64b CRC").
const crc64NVME = 0x9a6c9329ac4bc9b5
