package exec

import (
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// maxDirect is the length in bytes of the longest script that is looked at. It bounds
// how deep the parser goes into nested commands.
const maxDirect = 4 << 10

// maxCommands is how many commands a pipeline may have, as all pipes are open at once.
const maxCommands = 16

// command is a simple command: words, and nothing that only a shell can do.
type command struct {
	words  []word
	source string // as bash names it in a message
}

// word is a word of a command. Its parts follow each other without a gap.
type word []part

// part is a part of a word: a text, or the value of a variable.
type part struct {
	text   string
	name   string // of the variable, or empty
	quoted bool   // the value stands between double quotes
}

// parse reads a script that is a pipeline of simple commands. line is the number that
// bash gives the line in its messages. ok is false if the script is anything else, or
// may be.
//
// It is meant to refuse what it does not know, so what it takes is listed, also of the
// characters outside of quotes.
func parse(script string) (list []command, line int, ok bool) {
	if len(script) > maxDirect || !isText(script) {
		return nil, 0, false
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil || len(f.Stmts) != 1 {
		return nil, 0, false
	}
	r := reader{script: script}
	if !r.stmt(f.Stmts[0]) || len(r.list) > maxCommands {
		return nil, 0, false
	}
	before, after := script[:r.end], script[r.end:]
	// Bash replaces itself by a single command only if it has read all of the script
	// with it, which is up to the end of the line. A command that it waits for ends
	// with another exit status, see Pipeline.
	if i := strings.IndexByte(after, '\n'); len(r.list) == 1 && i >= 0 && i < len(after)-1 {
		return nil, 0, false
	}
	if strings.Contains(after, "\\\n") {
		return nil, 0, false // bash counts these lines, or not
	}
	return r.list, 1 + strings.Count(before, "\n"), true
}

// isText reports whether all characters of s mean the same to bash and to the parser.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// reader collects the commands of a pipeline, from the first to the last.
type reader struct {
	script string
	list   []command
	end    int // of the last command, in script
}

func (r *reader) stmt(s *syntax.Stmt) bool {
	if s.Negated || s.Background || s.Coprocess || s.Semicolon.IsValid() || len(s.Redirs) > 0 {
		return false
	}
	switch c := s.Cmd.(type) {
	case *syntax.BinaryCmd:
		return c.Op == syntax.Pipe && r.stmt(c.X) && r.stmt(c.Y)
	case *syntax.CallExpr:
		return len(c.Assigns) == 0 && len(c.Args) > 0 && r.call(c.Args)
	}
	return false
}

func (r *reader) call(args []*syntax.Word) bool {
	var (
		c      command
		source []string
	)
	for _, arg := range args {
		var w word
		for _, p := range arg.Parts {
			if !r.part(&w, p, false) {
				return false
			}
		}
		text := r.text(arg)
		if strings.Contains(text, "\\\n") {
			return false // bash does not show it so in its messages
		}
		c.words, source = append(c.words, w), append(source, text)
		r.end = int(arg.End().Offset())
	}
	c.source = strings.Join(source, " ")
	r.list = append(r.list, c)
	return !strings.Contains(c.words[0].literal(), "=") // in front, that may be an assignment
}

// text is the source of a node.
func (r *reader) text(n syntax.Node) string {
	return r.script[n.Pos().Offset():n.End().Offset()]
}

// part appends a part to a word.
func (r *reader) part(w *word, p syntax.WordPart, quoted bool) bool {
	switch p := p.(type) {
	case *syntax.Lit:
		text := p.Value
		switch {
		case r.text(p) != text:
			return false
		case quoted:
			text = unescape(text)
		case !plain(text):
			return false
		}
		*w = append(*w, part{text: text})
		return true
	case *syntax.SglQuoted:
		*w = append(*w, part{text: p.Value})
		return !p.Dollar && !quoted && r.text(p) == "'"+p.Value+"'"
	case *syntax.DblQuoted:
		if p.Dollar || quoted {
			return false
		}
		for _, q := range p.Parts {
			if !r.part(w, q, true) {
				return false
			}
		}
		return true
	case *syntax.ParamExp:
		if p.Param == nil || !isName(p.Param.Value) {
			return false
		}
		name := p.Param.Value
		*w = append(*w, part{name: name, quoted: quoted})
		source := r.text(p)
		return source == "$"+name || source == "${"+name+"}"
	}
	return false
}

// literal is the text of a word without its variables.
func (w word) literal() string {
	var b strings.Builder
	for _, p := range w {
		b.WriteString(p.text)
	}
	return b.String()
}

// expand returns what the word is with these variables. ok is false if bash would
// complain of a variable that is not set, or make several words of it, or none.
func (w word) expand(vars map[string]string) (text string, ok bool) {
	if len(w) == 1 && w[0].name == "" {
		return w[0].text, true
	}
	var b strings.Builder
	for _, p := range w {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		value, set := vars[p.name]
		if !set || !p.quoted && (value == "" || !plain(value)) {
			return "", false
		}
		b.WriteString(value)
	}
	return b.String(), true
}

// plain reports whether s means itself outside of quotes, wherever it stands.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("_./,:=@%^+-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// unescape returns what stands for s between double quotes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("$`\"\\", s[i+1]) >= 0 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// isName reports whether s may be the name of a shell variable.
func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
		case '0' <= c && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}
