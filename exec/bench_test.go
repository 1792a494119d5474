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
