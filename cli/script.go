package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/nathants/s4/wire"
)

// readScript returns the command that --script FILE stands for. The text of a shell
// script is the command itself. Any other script is sent along with the job (asset is
// true), and the command is that file.
func readScript(file string) (cmd string, asset bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", false, fmt.Errorf("--script: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	head, _ := r.Peek(r.Size()) // a read error comes again below
	if program := interpreter(string(head)); program != "" && program != "bash" && program != "sh" {
		return `"$S4_ASSETS/` + quoteDouble(filepath.Base(file)) + `"`, true, nil
	}
	text, err := io.ReadAll(io.LimitReader(r, wire.MaxCommand+1))
	if err != nil {
		return "", false, fmt.Errorf("--script: %w", err)
	}
	if len(text) > wire.MaxCommand {
		return "", false, fmt.Errorf("--script: %s has more than %d bytes (send it along with --file, and call it)", file, wire.MaxCommand)
	}
	return string(text), false, nil
}

// interpreter returns the name of the program that the first line of a script gives
// after #!, or "" if it gives none. For env it returns the program that env runs.
func interpreter(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	rest, ok := strings.CutPrefix(line, "#!")
	words := strings.Fields(rest)
	if !ok || len(words) == 0 {
		return ""
	}
	program := path.Base(words[0])
	if program != "env" {
		return program
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") { // options, and variables to set
			return path.Base(w)
		}
	}
	return program
}

// quoteDouble quotes s for bash, between double quotes.
func quoteDouble(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(s)
}
