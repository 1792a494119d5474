package s4

import _ "embed"

// The documents of this version. A program that does not ask for them does not
// have them: the linker leaves out what nothing refers to.
var (
	//go:embed README.md
	manual string
	//go:embed PROTOCOL.md
	protocol string
)

// Manual returns README.md, in Markdown.
func Manual() string { return manual }

// Protocol returns PROTOCOL.md, in Markdown.
func Protocol() string { return protocol }
