package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	s3Objects = 64
	s3Size    = 32 << 20 // of an object
)

// The prefixes of objects: those that are there, and those that a round makes.
const (
	s3In  = "in"
	s3Out = "out"
)

// s3Workload is objects out of S3 into the cluster, and back.
func s3Workload(o Options) Workload {
	tree := randomFiles(s3Objects, o.count(s3Size))
	moved := fmt.Sprintf("%s in %d objects", sizeText(int64(tree.files)*int64(tree.size)), tree.files)
	row := func(verb, than string, put bool, start func(context.Context, *Env) (*Comparison, error)) Row {
		return Row{
			Name:      "s3-" + verb,
			Work:      verb + " " + moved,
			Yardstick: "the faster of s5cmd and rclone " + than + ", from and to versitygw, whose CPU is not counted",
			Targets:   []Target{AtMost(1, Time)},
			// The servers are its own: they have the credentials. Alive are the tree, what is
			// moved, and one copy.
			Needs: Needs{Tree: tree, Put: put, S3: true, Servers: o.Servers, Copies: 3},
			Start: start,
		}
	}
	return Workload{
		Name:     "s3",
		Title:    "objects of an S3 server into the cluster, and back",
		Apart:    true,
		Possible: s3Here,
		Rows: []Row{
			row("import", "to a local directory", false, startImport),
			row("export", "of a local directory", true, startExport),
		},
	}
}

// s3Here reports what this host lacks for the workload.
func s3Here(_ context.Context, e *Env) error {
	if len(s3Tools()) == 0 {
		return &NotHere{"there is neither s5cmd nor rclone"}
	}
	if _, err := program(e.self, "s4-s3"); err != nil {
		return &NotHere{err.Error()}
	}
	return nil
}

// s3Tool is a program that copies between S3 and a directory.
type s3Tool struct {
	name string
	// args are the words that get the objects below a prefix of the bucket into a directory,
	// or put its files there.
	args func(url string, get bool, dir, prefix string) []string
}

// s3Tools returns those that this host has.
func s3Tools() (here []s3Tool) {
	for _, t := range []s3Tool{
		{"s5cmd", func(url string, get bool, dir, prefix string) []string {
			words := []string{"s5cmd", "--log", "error", "--endpoint-url", url, "cp"}
			if get {
				return append(words, "s3://"+s3Bucket+"/"+prefix+"/*", dir+"/")
			}
			return append(words, dir+"/", "s3://"+s3Bucket+"/"+prefix+"/")
		}},
		{"rclone", func(url string, get bool, dir, prefix string) []string {
			remote := ":s3:" + s3Bucket + "/" + prefix
			words := []string{"rclone", "--config", os.DevNull, "--s3-provider", "Other", "--s3-env-auth", "--s3-endpoint", url, "copy"}
			if get {
				return append(words, remote, dir)
			}
			return append(words, dir, remote)
		}},
	} {
		if _, err := exec.LookPath(t.name); err == nil {
			here = append(here, t)
		}
	}
	return here
}

func startImport(ctx context.Context, e *Env) (*Comparison, error) {
	if err := e.S3.putTree(ctx, e.Tree.Dir, s3In); err != nil {
		return nil, fmt.Errorf("put what is to be imported: %w", err)
	}
	s4 := e.s3Side("s4", e.Cluster.Command("import", "s3://"+s3Bucket+"/"+s3In+"/", inKeys, "--endpoint-url", e.S3.client.Endpoint), inKeys)
	s4.Servers = e.Cluster.Pids
	plain := plainObjects{Client: e.S3.client, Prefix: s3In}
	return e.compareS3(s4, e.plainSide("plain GET to nowhere", plain, ""), func(t s3Tool) Side {
		out := filepath.Join(e.RowDir, t.name)
		return e.s3Side(t.name, Command{Args: t.args(e.S3.client.Endpoint, true, out, s3In)}, out)
	}), nil
}

func startExport(_ context.Context, e *Env) (*Comparison, error) {
	out := e.S3.path(s3Out)
	s4 := e.s3Side("s4", e.Cluster.Command("export", inKeys, "s3://"+s3Bucket+"/"+s3Out+"/", "--endpoint-url", e.S3.client.Endpoint), out)
	s4.Servers = e.Cluster.Pids
	plain := plainObjects{Client: e.S3.client, Prefix: s3Out, Dir: e.Tree.Dir}
	return e.compareS3(s4, e.plainSide("plain PUT", plain, out), func(t s3Tool) Side {
		return e.s3Side(t.name, Command{Args: t.args(e.S3.client.Endpoint, false, e.Tree.Dir, s3Out)}, out)
	}), nil
}

// s3Side moves the tree, and makes it at out.
func (e *Env) s3Side(name string, c Command, out string) Side {
	c.Env = append(c.Env, e.S3.env()...)
	return Side{Name: name, Command: c, Out: out, Want: e.Tree.TreeSum, Bytes: e.Tree.Bytes, Keys: e.Tree.Files}
}

// compareS3 compares s4 with the faster one of the tools, and shows what the server can
// do at all.
func (e *Env) compareS3(s4, plain Side, side func(s3Tool) Side) *Comparison {
	c := &Comparison{S4: s4, Peers: []Side{plain}}
	for _, t := range s3Tools() {
		c.Rivals = append(c.Rivals, side(t))
	}
	c.Yardstick, c.Rivals = c.Rivals[0], c.Rivals[1:]
	return c
}

// plainSide is the hidden subcommand.
func (e *Env) plainSide(name string, p plainObjects, out string) Side {
	return e.s3Side(name, Command{Args: e.itself(objectsName, p)}, out)
}
