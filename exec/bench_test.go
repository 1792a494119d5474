package exec

import (
	osexec "os/exec"
	"testing"
)

func BenchmarkRun(b *testing.B) {
	c := Cmd{Script: "true", Dir: b.TempDir(), Env: env, StderrTail: 4 << 10}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPipeline is BenchmarkRun of what needs no shell.
func BenchmarkPipeline(b *testing.B) {
	for _, script := range []string{"cat", "tr a-z A-Z | sort", "cat | cat | cat"} {
		for _, way := range []string{"bash", "direct"} {
			b.Run(script+"/"+way, func(b *testing.B) {
				c := Cmd{Script: script, Dir: b.TempDir(), Env: env, StderrTail: 4 << 10}
				if way == "direct" {
					c.Pipeline = NewPipeline(script, env)
				}
				b.ReportAllocs()
				for b.Loop() {
					if res, err := Run(b.Context(), c); err != nil || res.Direct != (way == "direct") {
						b.Fatal(res, err)
					}
				}
			})
		}
	}
}

// BenchmarkBare is what os/exec alone takes, to compare BenchmarkRun with.
func BenchmarkBare(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		cmd := osexec.Command("bash", "--norc", "-e", "-u", "-o", "pipefail", "-c", "--", "true")
		cmd.Env = env
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
}
