package node_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/wire"
)

// The proof that a get never copies a byte through the server: sendfile
// counts them all. It must not be skipped.
func TestGetIsSendfile(t *testing.T) {
	c, client := start(t, node.Config{})
	var total int64
	sizes := []int{0, 1, 4 << 10, 300 << 10, 1<<20 + 1, wire.MaxData, wire.MaxData + 5}
	want := map[string][]byte{}
	for i, n := range sizes {
		key := fmt.Sprintf("b/d/%d_k", i)
		want[key] = noise(key, n)
		put(t, client, key, want[key])
		total += int64(n)
	}
	dir := t.TempDir()
	for key, b := range want {
		if got := get(t, client, key); got != string(b) {
			t.Errorf("get %s: %d bytes, wrong or not all of %d", key, len(got), len(b))
		}
		path := filepath.Join(dir, "file")
		o, err := client.GetFile(guarded(t), "s4://"+key, path)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, b) {
			t.Errorf("getfile %s: wrong bytes", key)
		}
		if o.Size != int64(len(b)) || o.XXH64 != xxhash.Sum64(b) {
			t.Errorf("%s: %+v", key, o)
		}
	}
	err := client.GetTree(guarded(t), "s4://b/d", dir, func(tr s4.Transfer) {
		if tr.Err != nil {
			t.Errorf("%s: %v", tr.Key, tr.Err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var sent, copied int64
	for _, n := range c.Nodes {
		sent += n.Stats().Sendfile.Load()
		copied += n.Stats().Copied.Load()
	}
	const small = 3 * (1 + 4<<10) // the two keys that are read and sent with their frames
	if sent != 3*total-small || copied != small {
		t.Errorf("sendfile moved %d bytes of %d, %d were copied, want %d", sent, 3*total-small, copied, small)
	}
}

// The same for the shuffle.
func TestShuffleIsSendfile(t *testing.T) {
	c, client := start(t, node.Config{})
	for i := range 3 {
		put(t, client, fmt.Sprintf("b/in/%d_k", i), noise("in", 100<<10))
	}
	cmd := `cat > data; for i in 0 1 2 3 4 5; do cp data ${i}_out; echo ${i}_out; done; : > 7; echo 7`
	res, err := client.MapToN(guarded(t), "s4://b/in/", "s4://b/out/", cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent, copied int64
	for _, n := range c.Nodes {
		sent += n.Stats().Sendfile.Load()
		copied += n.Stats().Copied.Load()
	}
	// Of six files two belong to each server: four of them go elsewhere.
	if want := int64(3 * 4 * 100 << 10); res.Pushed != want || sent != want || copied != 0 {
		t.Errorf("%d bytes pushed, of them %d by sendfile, %d copied; want %d", res.Pushed, sent, copied, want)
	}
	if res.Keys != 21 || res.Tasks != 3 || res.Done != 3 {
		t.Errorf("%+v", res)
	}
	for i := range 3 {
		for _, f := range []string{"0_out", "5_out", "7"} {
			got := get(t, client, fmt.Sprintf("b/out/%d_k/%s", i, f))
			if f != "7" && got != string(noise("in", 100<<10)) || f == "7" && got != "" {
				t.Errorf("%d_k/%s has %d wrong bytes", i, f, len(got))
			}
		}
	}
}

// With CompressAlways nothing goes by sendfile, neither between servers nor to the
// client: all bytes are read in order to pack them.
func TestCompressAlways(t *testing.T) {
	c, _ := start(t, node.Config{})
	client := c.Client(t, &s4.Options{Compress: s4.CompressAlways})
	text := bytes.Repeat([]byte("the same again\n"), 10_000)
	put(t, client, "b/in/0_k", text)
	cmd := `cat > data; for i in 0 1 2 3 4 5; do cp data ${i}_out; echo ${i}_out; done`
	res, err := client.MapToN(guarded(t), "s4://b/in/", "s4://b/out/", cmd, &s4.JobOptions{Compress: s4.CompressAlways})
	if err != nil {
		t.Fatal(err)
	}
	moved := func() (sent, copied int64) {
		for _, n := range c.Nodes {
			sent += n.Stats().Sendfile.Load()
			copied += n.Stats().Copied.Load()
		}
		return sent, copied
	}
	want := int64(4 * len(text)) // to the two other servers
	if sent, copied := moved(); res.Pushed != want || sent != 0 || copied != want {
		t.Errorf("%d bytes pushed, %d by sendfile, %d read; want %d, 0 and %d", res.Pushed, sent, copied, want, want)
	}
	if got := get(t, client, "b/out/0_k/5_out"); got != string(text) {
		t.Errorf("%d wrong bytes", len(got))
	}
	if sent, copied := moved(); sent != 0 || copied != want+int64(len(text)) {
		t.Errorf("after a get %d by sendfile, %d read; want 0 and %d", sent, copied, want+int64(len(text)))
	}
}
