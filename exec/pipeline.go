package exec

import "strings"

// Pipeline is a script that needs no shell: a simple command, or several with pipes in
// between, of words that mean themselves. Run starts its programs itself, for bash costs
// more than most of them do with a small file. What comes of it is the same.
//
// It may be used by many Runs at once.
type Pipeline struct {
	commands []command
	programs []string // by command, their paths
	first    []string // by command, the word that path was found for
	path     string   // PATH
	line     int      // as bash gives it in messages
}

// NewPipeline looks whether a script needs no shell, and looks for its programs in the
// PATH of env, which is in the form of Cmd.Env. It returns nil if bash must run the script,
// or has to say why it cannot.
func NewPipeline(script string, env []string) *Pipeline {
	commands, line, ok := parse(script)
	if !ok || len(commands) > 1 && !canLead {
		return nil
	}
	vars := make(map[string]string, len(env))
	for _, kv := range env {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	p := &Pipeline{commands: commands, line: line, path: vars["PATH"]}
	for _, c := range commands {
		name, ok := c.words[0].expand(vars)
		if !ok {
			return nil
		}
		program := findProgram(name, p.path)
		if program == "" {
			return nil
		}
		p.first, p.programs = append(p.first, name), append(p.programs, program)
	}
	return p
}

// execs returns what execve(2) needs to run the commands in dir. ok is false if bash must
// run them. real is Cmd.DirIsReal.
func (p *Pipeline) execs(env []string, dir string, real bool) (list []program, ok bool) {
	e, ok := newEnviron(env, dir, real, len(p.commands) == 1)
	if !ok || e.vars["PATH"] != p.path {
		return nil, false
	}
	for i, c := range p.commands {
		x := program{path: p.programs[i], env: e.of(p.programs[i]), args: make([]string, 0, len(c.words))}
		for _, w := range c.words {
			text, ok := w.expand(e.vars)
			if !ok {
				return nil, false
			}
			x.args = append(x.args, text)
		}
		if x.args[0] != p.first[i] {
			return nil, false
		}
		list = append(list, x)
	}
	return list, true
}
