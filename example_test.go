package s4_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"strings"

	"github.com/nathants/s4"
	"github.com/nathants/s4/node"
)

// exampleCluster starts three servers in this process. A real program calls s4.Open
// instead.
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
	// Count the words of each key on its server. Then collect the counts by first
	// letter and add them up.
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

func ExampleClient_Open() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	key := "s4://demo/words"
	if err := client.Put(ctx, key, strings.NewReader("to be or not to be"), -1); err != nil {
		log.Fatal(err)
	}
	r, err := client.Open(ctx, key)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	words := bufio.NewScanner(r)
	words.Split(bufio.ScanWords)
	n := 0
	for words.Scan() {
		n++
	}
	fmt.Println(n, words.Err(), r.Object().Size)
	// Output: 6 <nil> 18
}

func ExampleReader_Seek() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	if err := client.Put(ctx, "s4://demo/log", strings.NewReader("first\nlast\n"), -1); err != nil {
		log.Fatal(err)
	}
	r, err := client.Open(ctx, "s4://demo/log")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Seek(-5, io.SeekEnd); err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, r); err != nil {
		log.Fatal(err)
	}
	// Output: last
}

func ExampleClient_Create() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	key := "s4://demo/squares"
	w, err := client.Create(ctx, key)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort() // without Close, no key is written
	for i := range 4 {
		if _, err := fmt.Fprintln(w, i*i); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil { // from here on the key exists
		log.Fatal(err)
	}
	if _, err := client.Get(ctx, key, os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0
	// 1
	// 4
	// 9
}

func ExampleClient_FS() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	for _, name := range []string{"2024/may", "2024/june", "readme"} {
		if err := client.Put(ctx, "s4://demo/"+name, strings.NewReader(name), -1); err != nil {
			log.Fatal(err)
		}
	}
	files := client.FS(ctx, "s4://demo")
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		fmt.Println(path)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = fs.ReadFile(files, "2024/july")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// .
	// 2024
	// 2024/june
	// 2024/may
	// readme
	// true
}

func ExampleClient_Buckets() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	for _, key := range []string{"s4://raw/1", "s4://raw/2", "s4://clean/1"} {
		if err := client.Put(ctx, key, strings.NewReader(key), -1); err != nil {
			log.Fatal(err)
		}
	}
	for bucket, err := range client.Buckets(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		for e, err := range client.List(ctx, s4.Scheme+bucket.Name, true) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(e.Name)
			break // leaving the loop ends the listing
		}
	}
	// Output:
	// clean/1
	// raw/1
}

func ExampleClient_Eval() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	if err := client.Put(ctx, "s4://demo/000", strings.NewReader("c\nb\na\n"), -1); err != nil {
		log.Fatal(err)
	}
	status, err := client.Eval(ctx, "s4://demo/000", "sort | head -n 1; exit 7", os.Stdout, os.Stderr, nil)
	fmt.Println(status.Code, err)
	// Output:
	// a
	// 7 <nil>
}

func ExampleClient_Find() {
	client, stop := exampleCluster()
	defer stop()
	ctx := context.Background()

	for _, name := range []string{"2024-01/part_0", "2024-02/part_0", "2024-02/part_1", "2025-01/part_0"} {
		if err := client.Put(ctx, "s4://demo/"+name, strings.NewReader(name), -1); err != nil {
			log.Fatal(err)
		}
	}
	var filter s4.Filter
	if err := filter.Exclude("part_1"); err != nil {
		log.Fatal(err)
	}
	for e, err := range client.Find(ctx, "s4://demo/2024-*/part_?", &s4.FindOptions{Glob: true, Filter: &filter}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Name, e.Size)
	}
	// Output:
	// demo/2024-01/part_0 14
	// demo/2024-02/part_0 14
}
