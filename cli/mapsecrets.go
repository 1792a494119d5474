package cli

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/nathants/s4"
)

// secretFlags name the variables of this command's environment that a job's tasks get,
// too.
type secretFlags struct {
	env     []string
	inClear bool
}

// register defines the flags.
func (f *secretFlags) register(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.env, "secret-env", nil, "give tasks the variable `NAME` of this command's environment; servers keep it in memory only (repeatable)")
	fl.BoolVar(&f.inClear, "secrets-in-clear", false, "send --secret-env also if the cluster has no secret to seal it with")
}

// set sets the options of a job. The error is one in usage.
func (f *secretFlags) set(o *s4.JobOptions) error {
	if f.inClear && f.env == nil {
		return usagef("--secrets-in-clear is for --secret-env")
	}
	o.SecretsInClear = f.inClear
	for _, name := range f.env {
		value, ok := os.LookupEnv(name)
		if !ok {
			return usagef("--secret-env %s: this command has no such variable in its environment", name)
		}
		o.Secrets = append(o.Secrets, fmt.Sprintf("%s=%s", name, value))
	}
	return nil
}
