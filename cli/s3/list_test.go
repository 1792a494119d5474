package s3

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/s3/s3test"
)

// TestList has pages, names that a listing must encode, and directory markers.
func TestList(t *testing.T) {
	l := newLab(t, s3test.Fake)
	l.SetPageSize(2)
	names := []string{"a b", "a+b", "a%20b", "a//b", "line\nfeed", "ü", "x/y"}
	for _, name := range append(names, "dir/", "") {
		l.Put(t, "bkt", "p/"+name, nil)
	}
	l.Put(t, "bkt", "p/full/", []byte("x"))
	got := map[string]bool{}
	err := list(t.Context(), l.g.c, "s3://bkt/p", func(o object) error {
		got[o.rel] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "full/") {
		if !got[name] {
			t.Errorf("%q is not listed: %v", name, got)
		}
	}
	if len(got) != len(names)+1 {
		t.Errorf("got %v", got)
	}
}

// TestListCut has a page that says that there are more, and not how to ask for them.
func TestListCut(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>p/a</Key><Size>1</Size></Contents></ListBucketResult>`)
	}))
	defer srv.Close()
	o := &cli.S3Options{Endpoint: srv.URL, NoSign: true}
	cfg, err := newConfig(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := list(t.Context(), newClient(cfg, o), "s3://bkt/p/", func(object) error { return nil }); err == nil {
		t.Error("what is missing is no error")
	}
}

// TestReach finds out where a bucket is.
func TestReach(t *testing.T) {
	l := newLab(t, s3test.Fake)
	at, err := reach(t.Context(), new(cli.S3Options), "bkt")
	if err != nil || at.now.IsZero() {
		t.Fatalf("%+v, %v", at, err)
	}
	want := "--endpoint-url=" + l.proxy.URL + " --region=us-east-1 --path-style"
	if got := words(at.options.Args()); got != want {
		t.Errorf("tasks get %s, want %s", got, want)
	}
	l.proxy.Set(s3test.Rule{Ops: []s3test.Op{s3test.HeadBucket}, Fault: s3test.WrongRegion("eu-west-9")})
	if _, err := reach(t.Context(), new(cli.S3Options), "bkt"); err == nil || !strings.Contains(problem(err).Error(), "--region eu-west-9") {
		t.Errorf("of another region: got %v", err)
	}
	for endpoint, aws := range map[string]bool{
		"https://s3.eu-west-1.amazonaws.com": true, "https://s3.cn-north-1.amazonaws.com.cn": true,
		"http://localhost:9000": false, "https://amazonaws.com.example.org": false,
	} {
		if ofAWS(endpoint) != aws {
			t.Errorf("%s is of AWS: %v", endpoint, !aws)
		}
	}
}

func TestWords(t *testing.T) {
	if got, want := words([]string{"--a=b", "it's", "", "s3://b/p/", "a b"}), `--a=b 'it'\''s' '' s3://b/p/ 'a b'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzRecord has records that nobody has made, which must not be taken for others.
func FuzzRecord(f *testing.F) {
	for _, r := range []*record{
		{Bucket: "b", Key: "k", ETag: `"e"`, Size: 10},
		{Bucket: "b", Key: "a/b", Size: 10, From: 5, To: 10},
		{Bucket: "b", Key: "<&>", Unpack: "gz"},
	} {
		line, err := r.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	for _, bad := range []string{"", "{}", `{"bucket":"b"}`, `{"bucket":"b","key":"k","size":-1}`, `{"bucket":"b","key":"k","size":5,"from":3,"to":2}`, `{"bucket":"b","key":"k","unpack":"rar"}`, `{"bucket":"b","key":"k","new":1}`} {
		if _, err := decodeRecord([]byte(bad)); err == nil {
			f.Errorf("%s: no error", bad)
		}
		f.Add([]byte(bad))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRecord(line)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if same, err := decodeRecord(again); err != nil || fmt.Sprint(same) != fmt.Sprint(r) {
			t.Errorf("%s: got %v, %v; want %v", line, same, err, r)
		}
	})
}
