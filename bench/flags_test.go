package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "no workload given"},
		{[]string{"shuffel"}, `unknown workload "shuffel"`},
		{[]string{"put", "--rounds", "-1"}, "--rounds -1: at least 1, or 0"},
		{[]string{"put", "--servers", "0"}, "--servers 0: from 1 to 1000"},
		{[]string{"put", "--scale", "0"}, "--scale 0: more than 0"},
		{[]string{"put", "--scale", "NaN"}, "--scale NaN: more than 0"},
		{[]string{"put", "--size", "big"}, "want a number of bytes"},
		{[]string{"put", "--size", "0"}, "want a number of bytes"},
		{[]string{"put", "--peer", "x"}, "want NAME=TEMPLATE"},
		{[]string{"put", "--peer", "s4=cp {src} {dst}"}, "the name s4 is taken"},
		{[]string{"put", "--peer", "x=cp {src}"}, "the template of x has no {dst}"},
		{[]string{"put", "--peer", "x=cp {src} {dst}", "--peer", "x=mv {src} {dst}"}, "given twice"},
		{[]string{"put", "--servers", "100000"}, "--servers 100000: from 1 to 1000"},
		{[]string{"put", "--json", "-"}, "--json and --bench take a file"},
		{[]string{"put", "--json", "x", "--bench", "./x"}, "--json and --bench are the same file"},
		{[]string{"put", "--fast"}, "unknown flag: --fast"},
	} {
		var stdout, stderr strings.Builder
		code := Main(t.Context(), tt.args, &stdout, &stderr)
		if text := stderr.String(); code != exitUsage || !strings.Contains(text, tt.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%q: exit code %d, stderr %q", tt.args, code, text)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: stdout %q", tt.args, stdout.String())
		}
	}
}

// A report that could not be written is known before anything is measured.
func TestUnwritable(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent", "x")
	for _, flag := range []string{"--json", "--bench"} {
		var stdout, stderr strings.Builder
		code := Main(t.Context(), []string{"put", "--dir", absent, flag, absent}, &stdout, &stderr)
		if want := "open " + absent; code != exitFailed || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, stderr %q", flag, code, stderr.String())
		}
	}
	path := filepath.Join(t.TempDir(), "new")
	if err := writable(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("looking whether a file can be written made it: %v", err)
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr strings.Builder
	if code := Main(t.Context(), []string{"--help"}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, w := range workloads(Options{}) {
		if !strings.Contains(stdout.String(), "  "+w.Name+" ") {
			t.Errorf("help does not name %s", w.Name)
		}
	}
	for _, hidden := range []string{measureName, bareName, loadName} {
		if strings.Contains(stdout.String(), "  "+hidden) {
			t.Errorf("help names %s", hidden)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []Workload{{Name: "put"}, {Name: "get"}, {Name: "list"}, {Name: "slow", Apart: true}}
	for args, want := range map[string]string{
		"all":          "put get list",
		"list put":     "put list",
		"get get":      "get",
		"put all list": "put get list",
		"slow all":     "put get list slow",
	} {
		list, err := choose(all, strings.Fields(args))
		var names []string
		for _, w := range list {
			names = append(names, w.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", args, got, err, want)
		}
	}
}
