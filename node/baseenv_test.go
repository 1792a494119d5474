package node

import (
	"slices"
	"testing"

	"github.com/nathants/s4"
)

// A task has a directory of its own: where the server was started is none of its business.
func TestBaseEnv(t *testing.T) {
	t.Setenv("PWD", "/somewhere")
	t.Setenv("OLDPWD", "/elsewhere")
	t.Setenv("BASH_ENV", "/startup")
	t.Setenv("PWDX", "kept")
	env := baseEnv(Config{Cluster: &s4.Cluster{}}, "/bin")
	for _, kv := range []string{"PWD=/somewhere", "OLDPWD=/elsewhere", "BASH_ENV=/startup"} {
		if slices.Contains(env, kv) {
			t.Errorf("tasks get %s", kv)
		}
	}
	for _, kv := range []string{"PWDX=kept", "PATH=/bin", "LC_ALL=C"} {
		if !slices.Contains(env, kv) {
			t.Errorf("tasks do not get %s", kv)
		}
	}
}
