package scripts_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What these files and s4-server agree on.
const (
	serverPort = "4000"
	httpPort   = "9464"
	imageUser  = "4000"
	confPath   = "/etc/s4/s4.conf"
)

// wantFlags fails the test unless s4-server has all flags that are in args.
func wantFlags(t *testing.T, args []string) {
	t.Helper()
	help := run(t, nil, filepath.Join(bin, "s4-server"), "--help").want(t, 0).out
	n := 0
	for _, a := range args {
		name, ok := strings.CutPrefix(a, "--")
		if !ok || name == "" {
			continue
		}
		n++
		if !regexp.MustCompile(`--` + regexp.QuoteMeta(name) + `\b`).MatchString(help) {
			t.Errorf("s4-server has no --%s", name)
		}
	}
	if n == 0 {
		t.Errorf("no flags in %q", args)
	}
}

// unitKeys are the settings of the unit file, see systemd.unit(5), systemd.service(5)
// and systemd.exec(5).
var unitKeys = strings.Fields(`Description Documentation Wants After StartLimitIntervalSec
Type User StateDirectory StateDirectoryMode Environment EnvironmentFile ExecStart
Restart RestartSec RestartPreventExitStatus TimeoutStartSec TimeoutStopSec KillMode WatchdogSec
OOMPolicy LimitNOFILE TasksMax NoNewPrivileges CapabilityBoundingSet
ProtectSystem ProtectHome PrivateTmp PrivateDevices PrivateUsers PrivateIPC ProtectProc ProtectClock ProtectHostname
ProtectKernelTunables ProtectKernelModules ProtectKernelLogs ProtectControlGroups RemoveIPC
RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID LockPersonality
SystemCallArchitectures SystemCallFilter SystemCallErrorNumber WantedBy`)

// The unit is one that systemd takes, where there is systemd-analyze, and starts
// s4-server with flags that it has.
func TestUnit(t *testing.T) {
	b, err := os.ReadFile(script("s4-server.service"))
	if err != nil {
		t.Fatal(err)
	}
	settings := make(map[string][]string)
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '[' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || !slices.Contains(unitKeys, key) {
			t.Errorf("unknown setting: %s", line)
		}
		settings[key] = append(settings[key], value)
	}
	start := strings.Fields(settings["ExecStart"][0])
	if start[0] != "/usr/local/bin/s4-server" || settings["Type"][0] != "notify" || !strings.Contains(settings["Environment"][0], "S4_CONF_PATH="+confPath) {
		t.Errorf("%v", settings)
	}
	wantFlags(t, start)
	if i := slices.Index(start, "--dir"); i < 0 || start[i+1] != "/var/lib/"+settings["StateDirectory"][0] {
		t.Errorf("the data directory of %q is not %s", start, settings["StateDirectory"][0])
	}
	if i := slices.Index(start, "--http"); i < 0 || start[i+1] != httpPort {
		t.Errorf("no --http %s in %q", httpPort, start)
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze")
	}
	unit := filepath.Join(t.TempDir(), "s4-server.service")
	text := strings.Replace(string(b), "/usr/local/bin/s4-server", filepath.Join(bin, "s4-server"), 1)
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := run(t, nil, analyze, "verify", "--man=no", unit).want(t, 0); r.out+r.errOut != "" {
		t.Errorf("systemd-analyze verify: %s%s", r.out, r.errOut)
	}
	run(t, nil, analyze, "security", "--offline=true", "--no-pager", "--threshold=20", unit).want(t, 0, "exposure level")
}

// instruction is one of a Dockerfile.
type instruction struct{ name, args string }

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	comments := regexp.MustCompile(`(?m)^\s*#.*\n`)
	text := strings.ReplaceAll(comments.ReplaceAllString(string(b), ""), "\\\n", " ")
	var list []instruction
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			name, args, _ := strings.Cut(line, " ")
			list = append(list, instruction{name, strings.TrimSpace(args)})
		}
	}
	return list
}

// The Dockerfile's instructions are those of Docker's reference, and fit together.
func TestDockerfile(t *testing.T) {
	last := make(map[string]string) // of each instruction, in the stage
	var stages []string
	for i, in := range dockerfile(t) {
		last[in.name] = in.args
		switch in.name {
		case "FROM":
			clear(last)
			image, stage, _ := strings.Cut(in.args, " AS ")
			stages = append(stages, stage)
			if version, ok := strings.CutPrefix(image, "golang:"); ok {
				mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
				if err != nil {
					t.Fatal(err)
				}
				version, _, _ = strings.Cut(version, "-")
				if !strings.Contains(string(mod), "\ngo "+version+".") {
					t.Errorf("it builds with Go %s, and go.mod says otherwise", version)
				}
			}
		case "COPY":
			if from, ok := strings.CutPrefix(strings.Fields(in.args)[0], "--from="); ok && !slices.Contains(stages, from) {
				t.Errorf("COPY from %s, which is no stage", from)
			}
		case "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "HEALTHCHECK":
		case "ENTRYPOINT":
			var args []string
			if err := json.Unmarshal([]byte(in.args), &args); err != nil {
				t.Errorf("ENTRYPOINT %s: %v", in.args, err)
			}
			wantFlags(t, args)
		default:
			t.Errorf("unknown instruction %s", in.name)
		}
		if i == 0 && in.name != "FROM" {
			t.Errorf("it begins with %s", in.name)
		}
	}
	for name, want := range map[string]string{
		"USER":   imageUser + ":" + imageUser,
		"EXPOSE": serverPort + " " + httpPort,
		"ENV":    "S4_CONF_PATH=" + confPath,
		"VOLUME": "/data",
	} {
		if last[name] != want {
			t.Errorf("%s %s, want %s", name, last[name], want)
		}
	}
	if !strings.Contains(last["RUN"], "--uid "+imageUser) || !strings.Contains(last["ENTRYPOINT"], `"--dir", "/data"`) {
		t.Errorf("%v", last)
	}
}

// The image's health check tells of one server, whatever the others do.
func TestHealthCheck(t *testing.T) {
	var check string
	for _, in := range dockerfile(t) {
		if in.name == "HEALTHCHECK" {
			_, check, _ = strings.Cut(in.args, " CMD ")
		}
	}
	conf := startLocal(t)
	list, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	two := filepath.Join(t.TempDir(), "two.conf") // a cluster that is not this one
	if err := os.WriteFile(two, append(list, "localhost:1\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	run(t, append(env, "S4_CONF_PATH="+conf, "HOSTNAME=127.0.0.1"), "sh", "-c", check).want(t, 0)
	run(t, append(env, "S4_CONF_PATH="+conf, "HOSTNAME=127.0.0"), "sh", "-c", check).want(t, 1)
	run(t, append(env, "S4_CONF_PATH="+two, "HOSTNAME=127.0.0.1"), "sh", "-c", check).want(t, 1)
}

// startLocal runs s4-server --nodes 1 until the test ends, and returns its cluster file.
func startLocal(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(bin, "s4-server"), "--nodes", "1", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("s4-server: %v", err)
		}
	})
	conf := filepath.Join(dir, "s4.conf")
	eventually(t, "the server serves", func() bool {
		return exec.Command(filepath.Join(bin, "s4"), "health", "-c", conf).Run() == nil
	})
	return conf
}
