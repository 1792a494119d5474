package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/nathants/s4"
)

// S3 is what "s4 import" and "s4 export" need of it: package s3, which this one does not
// import, because what speaks HTTP makes s4 start later.
type S3 interface {
	// Import lists what is to be imported. Its error says what is wrong without a name.
	Import(ctx context.Context, o *S3Import) (*S3Job, error)

	// Export finds out where the objects go.
	Export(ctx context.Context, o *S3Export) (*S3Job, error)
}

// S3Options say which service is meant, and how to get in. The zero value is what the
// environment and the shared files of the AWS tools say.
type S3Options struct {
	Endpoint      string // its address, with http:// or https://
	Region        string
	Profile       string // in the shared files
	PathStyle     bool   // the bucket is a part of the path and not of the host's name
	NoSign        bool   // ask as nobody
	RequesterPays bool
	Parallel      int // requests of one task at once; 0 for what suits

	// What the tasks do not get as flags:

	SendCredentials bool // to the tasks, as secrets
	Unseen          bool // it is no error if this machine has no credentials
}

// Register defines the flags of what the tasks get, too.
func (o *S3Options) Register(fl *pflag.FlagSet) {
	fl.StringVar(&o.Endpoint, "endpoint-url", "", "`URL` of a service other than AWS (default $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL)")
	fl.StringVar(&o.Region, "region", "", "`NAME` of the bucket's region (default $AWS_REGION, the profile's, or that of the bucket)")
	fl.StringVar(&o.Profile, "profile", "", "take credentials of the profile `NAME` in ~/.aws (default $AWS_PROFILE)")
	fl.BoolVar(&o.PathStyle, "path-style", false, "put the bucket into the path, as is always done for what is not AWS")
	fl.BoolVar(&o.NoSign, "no-sign-request", false, "take no credentials, for public buckets")
	fl.BoolVar(&o.RequesterPays, "request-payer", false, "pay for requests to a bucket whose owner does not")
	fl.IntVar(&o.Parallel, "parallel", 0, "have up to `N` requests of a task at once (default by the sizes)")
}

// Args are the flags as words, to be parsed by flags of Register.
func (o *S3Options) Args() (args []string) {
	text := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	is := func(name string, set bool) {
		if set {
			args = append(args, "--"+name)
		}
	}
	text("endpoint-url", o.Endpoint)
	text("region", o.Region)
	text("profile", o.Profile)
	is("path-style", o.PathStyle)
	is("no-sign-request", o.NoSign)
	is("request-payer", o.RequesterPays)
	if o.Parallel > 0 {
		text("parallel", strconv.Itoa(o.Parallel))
	}
	return args
}

// S3Import says what to import.
type S3Import struct {
	S3Options
	Source       string // s3://bucket/prefix/, or s3://bucket/key
	Outdir       string // s4://bucket/dir/
	Filter       *s4.Filter
	SplitLines   int64 // 0 for no parts
	Decompress   bool
	SkipBadNames bool
}

// S3Export says what to export.
type S3Export struct {
	S3Options
	Indir       string // s4://bucket/dir/, which may have a glob
	NoGlob      bool   // it has none, whatever it looks like
	Dest        string // s3://bucket/prefix/
	Keys, Bytes int64  // below Indir
	Resume      bool
	NoClobber   bool
	Marked      bool // there is to be a _SUCCESS at the end, and not before
}

// S3Job is what a map job for an import or export consists of.
type S3Job struct {
	Command string
	Tasks   []s4.ManifestTask // nil for a job that reads keys
	Batch   int               // as in s4.JobOptions
	Secrets []string          // as in s4.JobOptions
	Skipped int               // objects that were left out because of their names

	// Of an export: Marker is the command that writes _SUCCESS, Unmark that which removes
	// one of before, and Abort removes what uploads have left that were cut off. It
	// returns how many there were.
	Marker string
	Unmark string
	Abort  func(ctx context.Context, c *s4.Client) (int, error)
}

// s3Flags are the flags of both verbs, as given.
type s3Flags struct {
	mapFlags
	S3Options
	chooser
	inClear bool
}

// s3Retries is how often a task of the two verbs is run again by default. Within, requests
// are repeated as well.
const s3Retries = 3

func (f *s3Flags) register(fl *pflag.FlagSet) {
	f.registerJob(fl, s3Retries)
	f.Register(fl)
	fl.BoolVar(&f.SendCredentials, "send-credentials", false, "let the servers use this machine's credentials, for this job, in memory")
	fl.BoolVar(&f.inClear, "send-credentials-in-clear", false, "send them to a cluster without a secret, too, where others can read them")
}

// check checks the flags. Its errors are errors in usage.
func (f *s3Flags) check() error {
	f.SendCredentials = f.SendCredentials || f.inClear
	switch {
	case f.NoSign && f.SendCredentials:
		return errors.New("--no-sign-request takes no credentials that could be sent")
	case f.Parallel < 0 || f.Parallel > math.MaxInt16:
		return errors.New("--parallel N is from 1 to 32767")
	}
	if err := checkEndpoint(f.Endpoint); err != nil {
		return err
	}
	return f.checkJob()
}

// s3Job makes a job of what the servers are to run.
func (f *s3Flags) s3Job(ctx context.Context, a *app, as string, p *S3Job) (*mapJob, error) {
	if f.SendCredentials && !f.inClear && !f.explain && !a.sealed {
		return nil, usagef("the cluster has no secret to seal the credentials with, and all could read them on the network: make one with 's4 secret', or say --send-credentials-in-clear")
	}
	j, err := f.job(ctx, a, mapHelp, []string{"", "", p.Command})
	if err != nil {
		return nil, err
	}
	j.as = as
	j.opts.Batch = p.Batch
	j.opts.Manifest, j.opts.Secrets, j.opts.SecretsInClear = p.Tasks, p.Secrets, f.inClear
	return j, nil
}

// runS3 runs the job, or does with it what flags say.
func (a *app) runS3(ctx context.Context, c *s4.Client, j *mapJob, f *s3Flags) error {
	switch {
	case f.explain:
		return a.explain(ctx, c, j)
	case f.detach:
		return a.detach(ctx, c, j, &f.mapFlags)
	}
	return a.withoutS3(a.runMap(ctx, c, j, &f.mapFlags))
}

// withoutS3 returns err, and has advice if it is that a server does not have the program.
func (a *app) withoutS3(err error) error {
	var e *s4.Error
	if errors.As(err, &e) && e.Exit == exitNoProgram {
		a.advice = "every server needs " + s3Program + " beside s4-server, or on its PATH: make install has it"
	}
	return err
}

// slowS3 is the default of app.slowS3. A service that does not answer at all is given
// minutes, see package s3.
const slowS3 = 10 * time.Second

// askS3 calls f, which asks S3 about name, and says once that it does when it takes long.
func (a *app) askS3(name string, f func() (*S3Job, error)) (*S3Job, error) {
	ended := make(chan struct{})
	var saying sync.WaitGroup
	saying.Go(func() {
		select {
		case <-ended:
		case <-time.After(a.slowS3):
			a.note("still waiting for S3 to tell about %s (a long list takes long; does it answer at all? --endpoint-url)", name)
		}
	})
	defer saying.Wait()
	defer close(ended)
	return f()
}

// s3Scheme begins the names of objects.
const s3Scheme = "s3://"

// refuseS3 returns an error in usage if one of the names that a verb for files and keys got
// is that of an object.
func refuseS3(names []string) error {
	for _, name := range names {
		if strings.HasPrefix(name, s3Scheme) {
			return usagef("%s is in S3, which is for 's4 import' and 's4 export': keys are s4://bucket/path/name", name)
		}
	}
	return nil
}

// checkS3URL checks the name of an object or prefix as far as usage goes.
func checkS3URL(name string) error {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(name, s3Scheme), "/")
	if !strings.HasPrefix(name, s3Scheme) || bucket == "" {
		return fmt.Errorf("%s is no s3://bucket/prefix/", name)
	}
	return nil
}

// checkEndpoint checks what --endpoint-url says.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	host, ok := strings.CutPrefix(endpoint, "http://")
	if !ok {
		host, ok = strings.CutPrefix(endpoint, "https://")
	}
	if !ok || host == "" {
		return fmt.Errorf("--endpoint-url %s does not begin with http://HOST or https://HOST", endpoint)
	}
	return nil
}

// exitNoProgram is with which code bash ends if there is no such program.
const exitNoProgram = 127
