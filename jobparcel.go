package s4

import (
	"github.com/nathants/s4/wire"
)

// jobParcel is what goes to the servers along with a job.
type jobParcel struct {
	files    []*jobFile
	manifest *manifest     // or nil
	secrets  *wire.Secrets // or nil
}

// newParcel gathers what goes along with a job. The caller closes its files. The error is
// an *Error about that name.
func (c *Client) newParcel(m *wire.Job, about string, opts *JobOptions) (*jobParcel, error) {
	var p jobParcel
	var err error
	op := m.Verb.String()
	if p.manifest, err = c.jobManifest(m, opts); err != nil {
		return nil, usage(op, about, err)
	}
	if p.secrets, err = c.sealSecrets(m, opts); err != nil {
		return nil, usage(op, about, err)
	}
	if p.files, err = openFiles(opts.Files); err != nil {
		return nil, &Error{Op: op, Key: about, Kind: ErrStorage, Text: err.Error(), Err: err}
	}
	return &p, nil
}

// jobManifest returns the tasks of a job that has a manifest or a list of keys, else nil.
func (c *Client) jobManifest(m *wire.Job, opts *JobOptions) (*manifest, error) {
	switch {
	case m.Options&wire.JobManifest != 0:
		return newManifest(c.cluster, m.Outdir, opts.Manifest)
	case m.Options&wire.JobKeys != 0:
		return newKeyList(c.cluster, m.Indir, opts.Keys)
	}
	return nil, nil
}

// sealSecrets returns the secret variables of a job as they cross the wire, or nil if it
// has none.
func (c *Client) sealSecrets(m *wire.Job, opts *JobOptions) (*wire.Secrets, error) {
	if len(opts.Secrets) == 0 {
		return nil, nil
	}
	text, err := wire.JoinVariables(opts.Secrets)
	switch {
	case err != nil:
		return nil, err
	case c.opts.Secret.IsSet():
		return c.opts.Secret.Seal(m.ID, text), nil
	case opts.SecretsInClear:
		return &wire.Secrets{Text: text}, nil
	}
	return nil, wire.Errorf(wire.CodeBadRequest, "the cluster has no secret to seal secret variables with, and all could read them on the network (make one with 's4 secret', or allow secrets in clear)")
}
