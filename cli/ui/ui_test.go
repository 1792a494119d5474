package ui_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli/ui"
	"github.com/nathants/s4/node"
	"github.com/nathants/s4/node/nodetest"
)

// patience is a guard against hanging, not a measurement.
const patience = 30 * time.Second

// served is the page of a cluster of this process.
type served struct {
	client *s4.Client
	url    string // of the first page
	root   string // without the token
	stop   func() // ends the page, and waits for it
}

func start(t *testing.T) *served {
	t.Helper()
	cluster := nodetest.Start(t, 2, node.Config{MaxCPUJobs: 4})
	p := &served{client: cluster.Client(t, nil)}
	ctx, cancel := context.WithCancel(t.Context())
	u, err := ui.New(ctx, p.client, ui.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- u.Serve(ln) }()
	p.root = "http://" + ln.Addr().String()
	p.url = p.root + u.Path()
	p.stop = func() {
		cancel()
		if ended == nil {
			return
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended = nil
	}
	t.Cleanup(p.stop)
	return p
}

func (p *served) put(t *testing.T, key string) {
	t.Helper()
	if err := p.client.Put(t.Context(), key, strings.NewReader("12345\n"), 6); err != nil {
		t.Fatal(err)
	}
}

// job starts a job of n keys that goes on whatever fails.
func (p *served) job(t *testing.T, n int, command string) string {
	t.Helper()
	for i := range n {
		p.put(t, fmt.Sprintf("s4://b/in/k%d", i))
	}
	res, err := p.client.Map(t.Context(), "s4://b/in/", "s4://b/out/", command, &s4.JobOptions{KeepGoing: true, Detach: true})
	if err != nil {
		t.Fatal(err)
	}
	return res.ID
}

// do asks for a page, of which edit may change the request, and returns the answer.
func do(t *testing.T, method, address string, form url.Values, edit func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if edit != nil {
		edit(r)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, body := do(t, "GET", address, nil, nil)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%s", address, resp.Status, body)
	}
	return body
}

func contains(t *testing.T, body string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(body, want) {
			t.Errorf("there is no %q in\n%s", want, body)
		}
	}
}

func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	p := start(t)
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, c := range []struct {
		address string
		edit    func(*http.Request)
		code    int
	}{
		{p.url, nil, 200},
		{strings.TrimSuffix(p.url, "/"), nil, 303},
		{p.url + "static/style.css", nil, 200},
		{p.url + "jobs/0123456789abcdef", nil, 404},
		{p.url + "jobs/x", nil, 400},
		{p.url, host("localhost:1234"), 200},
		{p.url, host("[::1]:1234"), 200},
		{p.url, host("evil.example"), 421},
		{p.url, host("evil.example:80"), 421},
		{p.url, host("127.0.0.1.evil.example"), 421},
		{p.url, host("10.0.0.1"), 421},
		{p.root, nil, 403},
		{p.root + "/", nil, 403},
		{p.root + "/static/style.css", nil, 403},
		{p.url[:len(p.url)-2] + "/", nil, 403},
		{p.root + "/x" + p.url[len(p.root)+1:], nil, 403},
	} {
		resp, body := do(t, "GET", c.address, nil, c.edit)
		if resp.StatusCode != c.code {
			t.Errorf("%s: %s, want %d", c.address, resp.Status, c.code)
		}
		token := strings.Trim(p.url[len(p.root):], "/")
		if c.code >= 400 && resp.StatusCode != 404 && c.code != 400 && strings.Contains(body, token) {
			t.Errorf("%s: the answer tells the token", c.address)
		}
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", c.address, name, got)
			}
		}
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", c.address, policy)
		}
	}
}

func TestTablesWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.put(t, "s4://b/dir/deep/<b>")
	p.put(t, "s4://b/dir/k")
	id := p.job(t, 3, `case $filename in k1) echo "<i>line</i> 3" >&2; exit 3;; esac; cat`)
	if _, err := p.client.WaitJob(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	body := get(t, p.url)
	contains(t, body, p.client.Cluster().Servers[1].String(), "healthy", "0 of 4", id, "2 of 3", "s4://b/in → s4://b/out")
	body = get(t, p.url+"browse")
	contains(t, body, `browse?dir=b%2f">b</a>`, "<td class=\"n\">42\u00a0B</td><td class=\"n\">7</td>")
	body = get(t, p.url+"browse?dir=b%2fdir%2f")
	contains(t, body, `">deep/</a>`, "<td class=\"n\">6\u00a0B</td><td class=\"n\">1</td>", ">k</th>")
	body = get(t, p.url+"browse?dir=b%2fdir%2fdeep%2f")
	contains(t, body, "&lt;b&gt;</th>")
	if strings.Contains(body, "<b></th>") {
		t.Error("a key is not escaped")
	}
	body = get(t, p.url+"jobs/"+id)
	contains(t, body, "2 of 3 tasks", "1 failed", "s4://b/in/k1", "exit 3", "&lt;i&gt;line&lt;/i&gt; 3", "<svg class=\"lanes\"", "s4://b/in/k0: done")
	if strings.Contains(body, "<i>") {
		t.Error("stderr is not escaped")
	}
}

func TestShufflePages(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.put(t, "s4://b/in/000")
	res, err := p.client.MapToN(t.Context(), "s4://b/in/", "s4://b/out/", "for i in 0 1; do head -c $((1000 * i + 7)) /dev/zero >$i; echo $i; done", nil)
	if err != nil {
		t.Fatal(err)
	}
	servers := p.client.Cluster().Servers
	address := p.url + "jobs/" + res.ID
	pair := fmt.Sprintf("<title>0 → 1, %s → %s: 1.0 kB, 1 files</title>", servers[0], servers[1])
	contains(t, get(t, address), `<svg class="heat"`, pair, "0 stayed on "+servers[0].String()+": 7 B", "1.0\u00a0kB went to another server", `/traffic">All numbers`)
	contains(t, get(t, address+"/traffic"), `<td class="n own">7`+"\u00a0B<br>", `<td class="n">1.0`+"\u00a0kB<br>", "Back to the job")
	if resp, _ := do(t, "GET", p.url+"jobs/0123456789abcdef/traffic", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("of a job that nobody knows: %s", resp.Status)
	}
	res, err = p.client.Map(t.Context(), "s4://b/in/", "s4://b/mapped/", "cat", nil)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, get(t, p.url+"jobs/"+res.ID+"/traffic"), "Nothing was pushed.")
	if body := get(t, p.url+"jobs/"+res.ID); strings.Contains(body, "Shuffle") {
		t.Error("a map has a shuffle")
	}
}

func TestFormsNeedTheirToken(t *testing.T) {
	t.Parallel()
	p := start(t)
	id := p.job(t, 1, "sleep 1000")
	cancel := p.url + "jobs/" + id + "/cancel"
	form := get(t, cancel)
	m := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(form)
	if m == nil {
		t.Fatalf("no token in %s", form)
	}
	good := url.Values{"csrf": {m[1]}}
	from := func(origin string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Origin", origin) }
	}
	for _, c := range []struct {
		form url.Values
		edit func(*http.Request)
	}{
		{nil, nil},
		{url.Values{"csrf": {""}}, nil},
		{url.Values{"csrf": {m[1] + "x"}}, nil},
		{good, from("http://evil.example")},
		{good, from("null")},
	} {
		if resp, _ := do(t, "POST", cancel, c.form, c.edit); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %s", c.form, resp.Status)
		}
	}
	if s, err := p.client.Job(t.Context(), id); err != nil || s.State != s4.JobRunning {
		t.Fatalf("the job is %v, %v", s.State, err)
	}
	resp, body := do(t, "POST", cancel, good, from(p.root))
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != p.url[len(p.root):]+"jobs/"+id {
		t.Fatalf("%s to %s\n%s", resp.Status, resp.Header.Get("Location"), body)
	}
	if s, err := p.client.WaitJob(t.Context(), id, nil); err != nil || s.State != s4.JobCanceled {
		t.Errorf("the job is %v, %v", s.State, err)
	}
	// What has no form is no action, and one that comes too late says so.
	if resp, _ := do(t, "POST", p.url+"jobs/"+id+"/discard", good, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an action that does not exist: %s", resp.Status)
	}
	resp, body = do(t, "POST", cancel, good, nil)
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("canceled twice: %s", resp.Status)
	}
	contains(t, body, "it is over: canceled")
}

func TestResume(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.put(t, "s4://b/in/k")
	gate := t.TempDir() + "/gate"
	res, err := p.client.Map(t.Context(), "s4://b/in/", "s4://b/out/", "[ -e "+gate+" ] && cat", &s4.JobOptions{Keep: true})
	if !errors.Is(err, s4.ErrTaskFailed) || !res.Suspended {
		t.Fatalf("%+v, %v", res, err)
	}
	address := p.url + "jobs/" + res.ID + "/resume"
	token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(get(t, address))
	for _, want := range []s4.JobState{s4.JobSuspended, s4.JobDone} {
		if resp, body := do(t, "POST", address, url.Values{"csrf": {token[1]}}, nil); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s\n%s", resp.Status, body)
		}
		if want == s4.JobSuspended {
			nodetest.Eventually(t, "the page says how it ended", func() bool {
				return strings.Contains(get(t, p.url+"jobs/"+res.ID), "Resumed from this page, and ended: command failed")
			})
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if s, err := p.client.WaitJob(t.Context(), res.ID, nil); err != nil || s.State != want {
			t.Errorf("the job is %v, %v", s.State, err)
		}
	}
}

// TestEvents follows a job, and leaves. The page ends with streams open.
func TestEvents(t *testing.T) {
	t.Parallel()
	p := start(t)
	gate := t.TempDir() + "/gate"
	id := p.job(t, 2, "[ $filename = k0 ] || while [ ! -e "+gate+" ]; do sleep 0.02; done; cat")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	events := func(query string) *bufio.Scanner {
		r, err := http.NewRequestWithContext(ctx, "GET", p.url+"events"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Fatalf("content type %q", got)
		}
		s := bufio.NewScanner(resp.Body)
		s.Buffer(nil, 4<<20)
		return s
	}
	until := func(s *bufio.Scanner, want string) {
		t.Helper()
		for s.Scan() {
			if strings.HasPrefix(s.Text(), "data: ") && strings.Contains(s.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", want, s.Err())
	}
	job, all := events("?job="+id), events("")
	until(job, "1 of 2 tasks")
	until(all, id)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(job, "2 of 2 tasks")
	p.stop()
	for job.Scan() {
	}
	if err := job.Err(); err != nil {
		t.Errorf("the stream broke: %v", err)
	}
}
