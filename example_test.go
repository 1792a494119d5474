package s4_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// exampleCluster starts three servers in this process, for the examples: a
// real program calls s4.Open.
func exampleCluster() (client *s4.Client, stop func()) {
	dir, err := os.MkdirTemp("", "s4-example")
	if err != nil {
		log.Fatal(err)
	}
	local, err := node.StartLocal(dir, 3, 0, node.Config{})
	if err != nil {
		log.Fatal(err)
	}
	client = s4.NewClient(local.Cluster, nil)
	return client, func() {
		client.Close()
		if err := local.Shutdown(context.Background()); err != nil {
			log.Fatal(err)
		}
		os.RemoveAll(dir)
	}
}

func Example() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	for name, text := range map[string]string{"000": "to be or not to be", "001": "to do is to be"} {
		if err := client.Put(ctx, "s4://demo/in/"+name, strings.NewReader(text), int64(len(text))); err != nil {
			log.Fatal(err)
		}
	}
	// Count words where the keys lie, then bring the counts of each first
	// letter together and add them up.
	steps := []struct {
		run     func(context.Context, string, string, string, *s4.JobOptions) (s4.JobResult, error)
		in, out string
		cmd     string
	}{
		{client.Map, "in", "counts", `tr -s ' ' '\n' | sort | uniq -c | awk '{ print $2, $1 }'`},
		{client.MapToN, "counts", "parts", `awk '{ print > "part-" substr($1, 1, 1) }'; ls`},
		{client.MapFromN, "parts", "sums", `xargs -d '\n' awk 1 | awk '{ n[$1] += $2 } END { for (w in n) print w, n[w] }'`},
	}
	for _, s := range steps {
		if _, err := s.run(ctx, "s4://demo/"+s.in+"/", "s4://demo/"+s.out+"/", s.cmd, nil); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := client.Get(ctx, "s4://demo/sums/part-t", os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output: to 4
}

func ExampleClient_Put() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	key := "s4://demo/greeting"
	fmt.Println(client.Put(ctx, key, strings.NewReader("hello"), -1))
	err := client.Put(ctx, key, strings.NewReader("again"), -1)
	fmt.Println(errors.Is(err, s4.ErrExists))
	// Output:
	// <nil>
	// true
}

func ExampleClient_List() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	for _, key := range []string{"a/1", "a/2", "b"} {
		if err := client.Put(ctx, "s4://demo/"+key, strings.NewReader(key), -1); err != nil {
			log.Fatal(err)
		}
	}
	for e, err := range client.List(ctx, "s4://demo", false) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Name, e.Size)
	}
	// Output:
	// demo/a/ 0
	// demo/b 1
}

func ExampleClient_Eval() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	if err := client.Put(ctx, "s4://demo/000", strings.NewReader("c\nb\na\n"), -1); err != nil {
		log.Fatal(err)
	}
	status, err := client.Eval(ctx, "s4://demo/000", "sort | head -n 1; exit 7", os.Stdout, os.Stderr)
	fmt.Println(status.Code, err)
	// Output:
	// a
	// 7 <nil>
}
