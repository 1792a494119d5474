package s3

import (
	"testing"

	"github.com/nathants/s4/cli"
)

// The tasks of a job all use the service that was listed, whatever their servers'
// environment names.
func TestTaskTakesNoEndpointOfItsServer(t *testing.T) {
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_ENDPOINT_URL", "http://elsewhere.test")
	for _, tt := range []struct {
		given string
		task  bool
		want  string // "" for AWS
	}{
		{"", false, "http://elsewhere.test"},
		{"", true, ""},
		{"http://given.test", true, "http://given.test"},
	} {
		o := &cli.S3Options{Endpoint: tt.given}
		cfg, err := newConfig(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if base := newClient(cfg, o, tt.task).Options().BaseEndpoint; base != nil {
			got = *base
		}
		if got != tt.want {
			t.Errorf("endpoint %q, of a task %v: %q, want %q", tt.given, tt.task, got, tt.want)
		}
	}
}
