package ui

import (
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
)

// Open has the desktop's browser show address. The address has the token in it, and
// other users can see the arguments of programs: so the browser gets a file that leads
// there, which only this user can read. The caller calls done in the end: it removes the
// file, and waits for the program.
func Open(address string) (done func(), err error) {
	dir, err := os.MkdirTemp("", "s4-ui-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("open a browser: %w", err)
	}
	path := filepath.Join(dir, "s4.html")
	text := fmt.Sprintf("<!doctype html><meta http-equiv=\"refresh\" content=\"0; url=%s\">\n", html.EscapeString(address))
	cmd := exec.Command("xdg-open", path)
	if err = os.WriteFile(path, []byte(text), 0o600); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("open a browser: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	return func() {
		_ = cmd.Process.Kill()
		<-ended
		os.RemoveAll(dir)
	}, nil
}
