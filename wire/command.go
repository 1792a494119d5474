package wire

import "strings"

// CheckCommand reports whether a command can be run at all: it is not empty,
// holds no zero byte and is short enough for one argument of a process.
func CheckCommand(cmd string) error {
	if cmd == "" {
		return Errorf(CodeBadRequest, "the command is empty")
	}
	if len(cmd) > MaxCommand {
		return Errorf(CodeTooLarge, "the command has %d bytes, at most %d", len(cmd), MaxCommand)
	}
	if strings.IndexByte(cmd, 0) >= 0 {
		return Errorf(CodeBadRequest, "the command contains a zero byte")
	}
	return nil
}
