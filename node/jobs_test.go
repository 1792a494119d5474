package node_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

func TestMapShuffleMerge(t *testing.T) {
	c, client := start(t, node.Config{})
	for i := range 6 {
		put(t, client, fmt.Sprintf("b/in/d%d/%d", i%2, i), fmt.Appendf(nil, "%d\n", i))
	}
	var last s4.JobProgress
	res, err := client.Map(guarded(t), "s4://b/in/", "s4://b/mapped/", `read n; echo $((n * 10)) $filename $S4_KEY`, &s4.JobOptions{Progress: func(p s4.JobProgress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if res.Keys != 6 || last.Done != 6 || res.BytesIn != 12 {
		t.Errorf("%+v, %+v", res, last)
	}
	if got := get(t, client, "b/mapped/d1/3"); got != "30 3 s4://b/in/d1/3\n" {
		t.Errorf("%q", got)
	}
	if _, err := client.MapToN(guarded(t), "s4://b/mapped/*/*", "s4://b/parts", `read n rest; for i in 0 1 2; do echo "$n-$i" > ${i}_part; echo ./${i}_part; done`, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.MapFromN(guarded(t), "s4://b/parts", "s4://b/merged", `while read f; do cat "$f"; done`, nil); err != nil {
		t.Fatal(err)
	}
	if got := list(t, client, "b/merged/"); !slices.Equal(got, []string{"b/merged/0_part", "b/merged/1_part", "b/merged/2_part"}) {
		t.Errorf("%q", got)
	}
	if got := get(t, client, "b/merged/1_part"); got != "0-1\n20-1\n40-1\n10-1\n30-1\n50-1\n" {
		t.Errorf("%q", got)
	}
	nodetest.Eventually(t, "the jobs' directories are removed", func() bool {
		left := 0
		for i := range c.Nodes {
			left += len(nodetest.Staged(t, c.Data(i)))
		}
		return left == 0
	})
	if _, err := client.Map(guarded(t), "s4://b/none", "s4://b/x", "cat", nil); !errors.Is(err, s4.ErrNotFound) {
		t.Errorf("no key: %v", err)
	}
	if _, err := client.Map(guarded(t), "s4://b/in/", "s4://b/mapped/", "cat", nil); !errors.Is(err, s4.ErrExists) {
		t.Errorf("into what exists: %v", err)
	}
	if _, err := client.MapToN(guarded(t), "s4://b/mapped/", "s4://b/parts", "echo x > 0_part; echo 0_part", nil); !errors.Is(err, s4.ErrExists) {
		t.Errorf("shuffle into what exists: %v", err)
	}
}

// One task fails while others run: the job leaves nothing and says why.
func TestFailingTask(t *testing.T) {
	c, client := start(t, node.Config{})
	names := manyIn(t, client, 9)
	check := baseline(t, 3)
	for verb, run := range jobVerbs {
		for _, how := range []struct {
			cmd          string
			exit, signal int
			stderr       string
		}{
			{"echo some text >&2; echo 100% >&2; exit 7", 7, 0, "some text\n100%\n"},
			{"printf '\\xff\\x00%%d' >&2; kill -9 $$", -1, 9, "\xff\x00%d"}, // bash prints %%d as %d
			{"echo $no_such_variable", 127, 0, "unbound"},
			{"false | true", 1, 0, ""},
		} {
			t.Run(verb, func(t *testing.T) {
				mark := marker()
				// The others have staged and pushed something, or still run.
				cmd := fmt.Sprintf(`key=${filename%%_k}
if [ $key = 4 ]; then sleep 0.2; %s; fi
if [ $key -lt 4 ]; then for i in 0_x 1_x 2_x; do echo $i > $i; echo $i; done; exit 0; fi
sleep %s & sleep %s`, how.cmd, mark, mark)
				_, err := run(client, guarded(t), "s4://b/in/", "s4://b/out/", cmd, nil)
				var e *s4.Error
				if !errors.As(err, &e) || !errors.Is(err, s4.ErrTaskFailed) {
					t.Fatalf("%v is no ErrTaskFailed", err)
				}
				wantKey := "s4://b/in/4_k"
				if verb == "map-from-n" {
					wantKey = "s4://b/out/4_k" // a merge's task is known by what it writes
				}
				if e.Op != verb || e.Key != wantKey || e.Server != c.Cluster.Servers[1].String() {
					t.Errorf("op %s, key %s, server %s", e.Op, e.Key, e.Server)
				}
				if e.Exit != how.exit && how.exit != 127 || e.Signal != how.signal || !strings.Contains(e.Stderr, how.stderr) {
					t.Errorf("exit %d, signal %d, stderr %q", e.Exit, e.Signal, e.Stderr)
				}
				noProcess(t, mark)
				clean(t, dataDirs(c), names...)
			})
		}
	}
	client.Close()
	check()
}
