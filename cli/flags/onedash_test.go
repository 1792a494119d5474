package flags_test

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/nathants/s4/cli/flags"
)

func TestOneDash(t *testing.T) {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.StringP("conf", "c", "", "")
	f.Int("port", 0, "")
	f.Int("max-io-jobs", 0, "")
	f.Bool("fsync", false, "")
	f.BoolP("quiet", "q", false, "")
	for in, want := range map[string]string{
		"":                                     "",
		"-port 80 -conf F -max-io-jobs 4":      "--port 80 --conf F --max-io-jobs 4",
		"-port=80 -conf=F -fsync -fsync=false": "--port=80 --conf=F --fsync --fsync=false",
		"--port 80 --conf=F -c F -cF -c=F -q":  "--port 80 --conf=F -c F -cF -c=F -q",
		"-fsync -port 80 x -port":              "--fsync --port 80 x --port",
		"-qc F -qport 1":                       "-qc F -qport 1", // shorthands in one word
		"-conf -port -port 80":                 "--conf -port --port 80",
		"--conf -port -c -port":                "--conf -port -c -port",
		"-q -port 1 -- -port 80":               "-q --port 1 -- -port 80",
		"-frob -ports - -= --":                 "-frob -ports - -= --",
		"---port 80":                           "---port 80",
		"-conf.txt":                            "-conf.txt",
	} {
		if got := strings.Join(flags.OneDash(f, strings.Fields(in)), " "); got != want {
			t.Errorf("%s\n%s, want\n%s", in, got, want)
		}
	}
}
