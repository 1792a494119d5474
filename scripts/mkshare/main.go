// Mkshare writes what an installation of s4 has beside its programs: the completions
// of three shells and a man page for each verb.
//
//	mkshare DIR
//
// DIR becomes a share directory as the Filesystem Hierarchy Standard has it. It is a
// program of its own because what turns Markdown into man pages would make s4 larger,
// for work that is done once.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/cli/server"
)

func main() {
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: mkshare DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "mkshare:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	for _, root := range []*cobra.Command{cli.Command(), server.Command()} {
		if err := completions(root, dir); err != nil {
			return err
		}
		if err := manPages(root, filepath.Join(dir, "man", "man1")); err != nil {
			return err
		}
	}
	return nil
}

// completions writes the scripts of a program to where shells look for them: see the
// README of bash-completion, fpath in zshparam(1), and vendor_completions.d in fish's
// documentation of completions.
func completions(root *cobra.Command, dir string) error {
	for shell, path := range map[string]string{
		"bash": "bash-completion/completions/" + root.Name(),
		"zsh":  "zsh/site-functions/_" + root.Name(),
		"fish": "fish/vendor_completions.d/" + root.Name() + ".fish",
	} {
		var script bytes.Buffer
		if err := cli.WriteCompletion(&script, root, shell); err != nil {
			return err
		}
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, script.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// manPages writes a page for a command and each below it.
func manPages(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	prepare(root)
	date := time.Now()
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil { // reproducible-builds.org
		date = time.Unix(epoch, 0).UTC()
	}
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "s4 " + s4.Release, Manual: "s4", Date: &date}, dir)
}

// prepare makes Markdown of the help, which doc takes it for.
func prepare(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Long = markdown(cmd.Long)
	for _, c := range cmd.Commands() {
		prepare(c)
	}
}

// special are the characters that mean something in Markdown and stand in help.
var special = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "`", "\\`")

// markdown keeps indented lines as they are, as code, and escapes the others.
func markdown(help string) string {
	var b strings.Builder
	code := false
	for line := range strings.Lines(help) {
		indented := strings.HasPrefix(line, "  ")
		if indented != code {
			b.WriteByte('\n')
		}
		if code = indented; code {
			b.WriteString("    " + line)
		} else {
			b.WriteString(special.Replace(line))
		}
	}
	return b.String()
}
