package ui_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/nathants/s4"
)

// browser starts a headless Chromium for the test. There is none on every machine; where
// tests run unattended there must be.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no chromium: .ci/run installs it")
		}
		t.Skip("no chromium: the page is not tried in a browser")
	}
	// Root has no sandbox, and the pages are ours.
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx := context.WithoutCancel(t.Context()) // which ends before Cancel could close the browser
	ctx, cancel := chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(func() {
		cancel()
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
	})
	return limited
}

// TestBrowser looks at a job that runs, sees it change, and cancels it.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	p := start(t)
	gate := filepath.Join(t.TempDir(), "gate")
	id := p.job(t, 4, fmt.Sprintf(`echo "<b>$filename</b>" >&2; case $filename in k1) exit 3;; k2) while [ ! -e %s ]; do sleep 0.02; done;; k3) sleep 1000;; esac; cat`, gate))
	do := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatal(err)
		}
	}
	const cancel = ".button.danger"
	do(chromedp.EmulateViewport(360, 800), chromedp.Navigate(p.url+"jobs/"+id), text("1 of 4 tasks"), text("1 failed"))
	// What has focus and what is unfolded stays so when the page changes.
	do(chromedp.Click("summary"), chromedp.Focus("summary"))
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	do(text("2 of 4 tasks"))
	for script, want := range map[string]string{
		`document.activeElement.nodeName`:                                  "SUMMARY",
		`String(document.querySelector("details").open)`:                   "true",
		`document.querySelector("details pre").textContent.trim()`:         "<b>k1</b>",
		`String(document.documentElement.scrollWidth > window.innerWidth)`: "false",
		`getComputedStyle(document.querySelector("header")).display`:       "flex", // the policy lets the style sheet in
		`document.getElementById("state").textContent`:                     "live",
		`String(document.querySelectorAll(".lanes rect.failed").length)`:   "1",
	} {
		if got, err := chromedp.Run(ctx, chromedp.Evaluate[string](script)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", script, got, err, want)
		}
	}
	do(chromedp.Click(cancel), chromedp.WaitVisible("form button"), chromedp.Click("form button"), chromedp.WaitVisible(".state.canceled"))
	if s, err := p.client.WaitJob(t.Context(), id, nil); err != nil || s.State != s4.JobCanceled {
		t.Errorf("the job is %v, %v", s.State, err)
	}
	// A shuffle is in the colors of the style sheet, and no page is wider than the screen.
	res, err := p.client.MapToN(t.Context(), "s4://b/in/", "s4://b/parts/", "for i in 0 1; do echo $i >$i; echo $i; done", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"jobs/" + res.ID, "jobs/" + res.ID + "/traffic", "", "browse"} {
		do(chromedp.Navigate(p.url+page), chromedp.WaitVisible("main table"))
		colors := "4" // of the ground, two of cells, and none of what stayed
		if page != "jobs/"+res.ID {
			colors = "0"
		}
		script := `document.documentElement.scrollWidth <= window.innerWidth ? new Set([...document.querySelectorAll(".heat rect")].map((r) => getComputedStyle(r).fill)).size.toString() : "too wide"`
		if got, err := chromedp.Run(ctx, chromedp.Evaluate[string](script)); err != nil || got != colors {
			t.Errorf("/%s: %q colors, %v, want %s", page, got, err, colors)
		}
	}
}

// text waits until the page has want in it.
func text(want string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(`document.body.innerText.includes(%q)`, want), chromedp.WithPollingInterval(20*time.Millisecond))
}
