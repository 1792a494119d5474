package s4_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// startLocal runs three servers in this process until the test ends.
func startLocal(t *testing.T) *s4.Client {
	t.Helper()
	local, err := node.StartLocal(t.TempDir(), 3, 0, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	client := s4.NewClient(local.Cluster, nil)
	t.Cleanup(func() {
		client.Close()
		if err := local.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return client
}

// keys returns the keys of a bucket.
func keys(t *testing.T, c *s4.Client, bucket string) (names []string) {
	t.Helper()
	for e, err := range c.List(t.Context(), bucket, true) {
		if errors.Is(err, s4.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name)
	}
	return names
}

func TestPutSplitFile(t *testing.T) {
	c := startLocal(t)
	text := []byte("n\n" + strings.Repeat("one\ntwo\nthree\n", 20000))
	path := filepath.Join(t.TempDir(), "words")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	var got []s4.Transfer
	opts := s4.SplitOptions{Size: 10_000, Header: true}
	err := c.PutSplitFile(t.Context(), path, "s4://b/words", opts, func(r s4.Transfer) { got = append(got, r) })
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b s4.Transfer) int { return strings.Compare(a.Key, b.Key) })
	all := []byte("n\n")
	for i, r := range got {
		var b bytes.Buffer
		if _, err := c.Get(t.Context(), r.Key, &b); err != nil {
			t.Fatal(err)
		}
		if r.Err != nil || r.Path != path || r.Size != int64(b.Len()) || c.Cluster().Place(r.Key) != i%3 {
			t.Errorf("part %d: %+v of %d bytes", i, r, b.Len())
		}
		body, ok := bytes.CutPrefix(b.Bytes(), []byte("n\n"))
		if !ok || (i < len(got)-1 && (len(body) < 10_000 || len(body) > 10_005)) {
			t.Errorf("part %d has %d bytes, header %v", i, len(body), ok)
		}
		all = append(all, body...)
	}
	if !bytes.Equal(all, text) || len(got) != 28 {
		t.Errorf("%d parts have %d bytes, the file %d", len(got), len(all), len(text))
	}
}

// TestPutSplitFails checks which parts are there after one has failed.
func TestPutSplitFails(t *testing.T) {
	c := startLocal(t)
	opts := s4.SplitOptions{Size: 4}
	var failed []string
	ok := 0
	report := func(r s4.Transfer) {
		if r.Err != nil {
			failed = append(failed, r.Err.Error())
		} else {
			ok++
		}
	}
	// The input ends with an error, in the middle of a part and between two.
	for bucket, in := range map[string]string{"s4://mid": "one\ntwo\nth", "s4://between": "one\ntwo\n"} {
		failed, ok = nil, 0
		r := io.MultiReader(strings.NewReader(in), iotest.ErrReader(io.ErrUnexpectedEOF))
		err := c.PutSplit(t.Context(), r, bucket, opts, report)
		want := []string{"put " + bucket + "/00002: unexpected EOF"}
		if err != nil || ok != 2 || !slices.Equal(failed, want) {
			t.Errorf("%s: %v, %d copied, failed %q, want %q", bucket, err, ok, failed, want)
		}
		if got := keys(t, c, bucket); len(got) != 2 {
			t.Errorf("%s has %q", bucket, got)
		}
	}
	// The key of a part exists: few parts after it are begun.
	if err := c.Put(t.Context(), "s4://file/00005_x", strings.NewReader("old"), -1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, bytes.Repeat([]byte("one\n"), 10_000), 0o666); err != nil {
		t.Fatal(err)
	}
	failed, ok = nil, 0
	err := c.PutSplitFile(t.Context(), path, "s4://file/x", opts, report)
	if err != nil || len(failed) != 1 || !strings.HasPrefix(failed[0], "put s4://file/00005_x: the key exists on ") {
		t.Errorf("%v, failed %q", err, failed)
	}
	if got := keys(t, c, "s4://file"); len(got) != ok+1 || ok > 5000 {
		t.Errorf("%d copied, %d there", ok, len(got))
	}
	// Arguments that make no sense.
	for _, tt := range []struct {
		key  string
		size int64
	}{{"b/k", 1}, {"s4://", 1}, {"s4:///k", 1}, {"s4://b/a b", 1}, {"s4://b/k", 0}, {"s4://b/k", -1}} {
		bad := s4.SplitOptions{Size: tt.size}
		if err := c.PutSplit(t.Context(), nil, tt.key, bad, nil); err == nil {
			t.Errorf("%q by %d: no error", tt.key, tt.size)
		}
		if err := c.PutSplitFile(t.Context(), path, tt.key, bad, nil); err == nil {
			t.Errorf("%q by %d: no error", tt.key, tt.size)
		}
	}
	if err := c.PutSplitFile(t.Context(), path+"absent", "s4://b/k", opts, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

// TestPutSplitCanceled ends the context while the input pauses, in the middle of a part
// and between two.
func TestPutSplitCanceled(t *testing.T) {
	c := startLocal(t)
	for bucket, in := range map[string]string{"s4://mid": "one\ntwo\nth", "s4://between": "one\ntwo\n"} {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, in)
			cancel()
		}()
		err := c.PutSplit(ctx, r, bucket, s4.SplitOptions{Size: 4}, func(r s4.Transfer) {
			if r.Err != nil && !errors.Is(r.Err, s4.ErrCanceled) {
				t.Error(r.Err)
			}
		})
		if !errors.Is(err, s4.ErrCanceled) {
			t.Errorf("%s: %v", bucket, err)
		}
		w.Close()
		for _, k := range keys(t, c, bucket) {
			if strings.HasSuffix(k, "2") {
				t.Errorf("%s is there", k)
			}
		}
	}
}
