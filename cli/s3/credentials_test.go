package s3

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nathants/s4/cli"
)

// TestCredentialProcess has a credential_process whose output is no JSON, but has
// credentials: no error may repeat them.
func TestCredentialProcess(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	t.Setenv("AWS_CONFIG_FILE", config)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	for name, process := range map[string]string{
		"no JSON":      `echo refreshed && echo '{"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "hidden"}'`,
		"exit code":    `echo hidden && echo hidden >&2 && exit 3`,
		"no such time": `echo '{"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "hidden", "Expiration": "hidden"}'`,
	} {
		if err := os.WriteFile(config, []byte("[default]\nregion = us-east-1\ncredential_process = "+process+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := reach(t.Context(), new(cli.S3Options), "bkt")
		if err = problem(err); err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "credential_process") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
