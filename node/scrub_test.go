package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// TestVerifyInPace compares keys while others remove and write some, in a pace that makes
// the readers wait.
func TestVerifyInPace(t *testing.T) {
	_, client := start(t, node.Config{})
	for i := range 30 {
		put(t, client, fmt.Sprintf("b/k/%d_x", i), noise("k", 100<<10))
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			key := fmt.Sprintf("s4://b/k/%d_x", i%30)
			if _, err := client.Remove(guarded(t), key, false); err != nil {
				stopped <- err
				return
			}
			data := noise("other", 1000+i)
			if err := client.Put(guarded(t), key, bytes.NewReader(data), int64(len(data))); err != nil {
				stopped <- err
				return
			}
		}
	}()
	reports := 0
	p, err := client.Verify(guarded(t), "", &s4.VerifyOptions{Rate: 20 << 20, Report: func(s4.VerifyProgress) { reports++ }}, func(d s4.DamagedKey) error {
		t.Errorf("%+v", d)
		return nil
	})
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err != nil || p.Keys == 0 || p.Keys > 30 || p.Damaged != 0 || reports < 3 {
		t.Errorf("%+v, %v, %d reports", p, err, reports)
	}
}

// TestVerifyStops ends a verify by the callback's error, and the servers go on.
func TestVerifyStops(t *testing.T) {
	c, client := start(t, node.Config{})
	for i := range 6 {
		key := fmt.Sprintf("b/%d_k", i)
		put(t, client, key, noise(key, 3000))
		flipOnDisk(t, filepath.Join(c.Data(i%3), key), 5)
	}
	enough, found := errors.New("enough"), 0
	if _, err := client.Verify(guarded(t), "s4://b", nil, func(s4.DamagedKey) error { found++; return enough }); err != enough || found != 1 {
		t.Errorf("%v after %d", err, found)
	}
	if p, err := client.Verify(guarded(t), "s4://b", nil, func(s4.DamagedKey) error { return nil }); err != nil || p.Damaged != 6 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestScrub starts servers with --scrub: those that have not scrubbed for that long find
// what is damaged, and not the one that has.
func TestScrub(t *testing.T) {
	dir := t.TempDir()
	c := nodetest.StartIn(t, dir, 3, node.Config{})
	client := c.Client(t, nil)
	for i := range 3 {
		key := fmt.Sprintf("b/%d_k", i)
		put(t, client, key, noise(key, 2<<20))
		flipOnDisk(t, filepath.Join(c.Data(i), key), 1<<20)
	}
	c.Stop()
	now := time.Now()
	for i, last := range []time.Time{now.Add(-48 * time.Hour), now, now.Add(48 * time.Hour)} {
		mark := filepath.Join(c.Data(i), "_s4", "scrubbed")
		if err := os.WriteFile(mark, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(mark, last, last); err != nil {
			t.Fatal(err)
		}
	}
	core, logs := observer.New(zapcore.InfoLevel)
	c = nodetest.StartIn(t, dir, 3, node.Config{Scrub: 24 * time.Hour, Log: zap.New(core)})
	nodetest.Eventually(t, "two scrubs", func() bool { return logs.FilterMessage("scrub").Len() == 2 })
	found := logs.FilterMessage("damaged key").All()
	if len(found) != 2 {
		t.Fatal(found)
	}
	for _, e := range found {
		if key := e.ContextMap()["key"]; key != "b/0_k" && key != "b/2_k" {
			t.Errorf("%v was found", key)
		}
	}
	for i := range 3 {
		info, err := os.Stat(filepath.Join(c.Data(i), "_s4", "scrubbed"))
		if err != nil || info.ModTime().After(time.Now()) || time.Since(info.ModTime()) > time.Hour {
			t.Errorf("server %d: %v, %v", i, info.ModTime(), err)
		}
	}
}

// TestScrubGivesWay holds a command while a server would scrub without end.
func TestScrubGivesWay(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	c := nodetest.Start(t, 1, node.Config{Scrub: time.Millisecond, Log: zap.New(core)})
	client := c.Client(t, nil)
	put(t, client, "b/k", noise("k", 3000))
	scrubs := func() int { return logs.FilterMessage("scrub").Len() }
	nodetest.Eventually(t, "a scrub", func() bool { return scrubs() > 0 })
	dir := t.TempDir()
	ended := make(chan error, 1)
	go func() {
		_, err := client.Eval(guarded(t), "s4://b/k", fmt.Sprintf("touch %[1]s/runs; until [ -e %[1]s/end ]; do sleep 0.02; done", dir), io.Discard, io.Discard, nil)
		ended <- err
	}()
	nodetest.Eventually(t, "the command", func() bool { _, err := os.Stat(dir + "/runs"); return err == nil })
	before := scrubs()
	time.Sleep(300 * time.Millisecond) // hundreds of scrubs
	if n := scrubs() - before; n > 1 { // the one that was under way
		t.Errorf("%d scrubs while a command ran", n)
	}
	if err := os.WriteFile(dir+"/end", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	nodetest.Eventually(t, "a scrub after it", func() bool { return scrubs() > before+1 })
}
