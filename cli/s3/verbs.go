package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/nathants/s4"
	"github.com/nathants/s4/cli"
	"github.com/nathants/s4/names"
)

// Main runs the s4-s3 command with the given arguments, without the program's name, and
// returns its exit code: s4, and the commands get and put of the tasks.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && (args[0] == "get" || args[0] == "put") {
		return task(ctx, args, stdin, stdout, stderr)
	}
	return cli.MainS3(ctx, service{}, args, stdin, stdout, stderr)
}

// service is the cli.S3 of this package.
type service struct{}

// Import lists the objects, and says what each task is to fetch.
func (service) Import(ctx context.Context, o *cli.S3Import) (*cli.S3Job, error) {
	m, err := newManifest(o)
	if err != nil {
		return nil, err
	}
	at, err := reach(ctx, &o.S3Options, m.bucket)
	if err != nil {
		return nil, problem(err)
	}
	if err := list(ctx, at.client, o.Source, m.add); err != nil {
		return nil, problem(err)
	}
	if err := m.end(); err != nil {
		return nil, err
	}
	job := &cli.S3Job{Tasks: m.tasks, Skipped: m.badN, Secrets: at.secrets}
	var parallel int
	job.Batch, parallel = batchOf(len(m.tasks), m.bytes)
	if o.Parallel == 0 {
		at.options.Parallel = parallel
	}
	// The tasks do not need the source, but whoever looks at the job does.
	job.Command = "s4-s3 get " + words(append(at.options.Args(), o.Source))
	return job, nil
}

// Export says what each task is to run.
func (service) Export(ctx context.Context, o *cli.S3Export) (*cli.S3Job, error) {
	to, err := parseDestination(o.Dest)
	if err != nil {
		return nil, err
	}
	dir, err := names.TrimScheme(o.Indir)
	if err != nil {
		return nil, err
	}
	glob := names.Glob{Base: strings.TrimSuffix(dir, "/")}
	if !o.NoGlob {
		if glob, err = names.ParseGlob(glob.Base); err != nil {
			return nil, err
		}
	}
	at, err := reach(ctx, &o.S3Options, to.bucket)
	if err != nil {
		return nil, problem(err)
	}
	job := &cli.S3Job{Secrets: at.secrets}
	args := at.options.Args()
	if o.Resume {
		args = append(args, "--resume")
	}
	if o.NoClobber {
		args = append(args, "--no-clobber")
	}
	if o.Marked {
		args = append(args, "--marked")
	}
	where := scheme + to.bucket + "/" + to.prefix
	job.Command = "s4-s3 put " + words(append(args, "--below", s4.Scheme+glob.Base+"/", where))
	job.Marker = "s4-s3 put " + words(append(at.options.Args(), "--success-marker", where))
	job.Unmark = "s4-s3 put " + words(append(at.options.Args(), "--remove-marker", where))
	job.Batch, _ = batchOf(int(o.Keys), o.Bytes)
	job.Abort = func(ctx context.Context, c *s4.Client) (int, error) {
		if at.now.IsZero() {
			return 0, nil // this machine has no part in S3
		}
		n, err := abortSince(ctx, at.client, to, at.now, func(key string) (bool, error) {
			_, err := c.Stat(ctx, s4.Scheme+glob.Base+"/"+strings.TrimPrefix(key, to.prefix))
			if errors.Is(err, s4.ErrNotFound) || errors.Is(err, s4.ErrUsage) {
				return false, nil // of another program
			}
			return err == nil, err
		})
		return n, problem(err)
	}
	return job, nil
}

// place is a bucket that was reached.
type place struct {
	client  *sdk.Client
	options cli.S3Options // for the tasks
	secrets []string      // for the tasks
	now     time.Time     // by the clock of S3; zero if it was not asked
}

// reach finds out where a bucket is, and how the tasks will reach it.
func reach(ctx context.Context, o *cli.S3Options, bucket string) (*place, error) {
	cfg, err := newConfig(ctx, o)
	if err != nil {
		return nil, err
	}
	at := &place{client: newClient(cfg, o, false), options: *o}
	set := at.client.Options()
	if set.BaseEndpoint != nil {
		at.options.Endpoint = *set.BaseEndpoint
	}
	at.options.PathStyle = set.UsePathStyle
	at.options.Region = cfg.Region
	if strings.Contains(at.options.Endpoint, "@") {
		return nil, errors.New("the endpoint has credentials in it, which all would see (give them in another way)")
	}
	if !o.NoSign {
		creds, err := cfg.Credentials.Retrieve(ctx)
		switch {
		case err == nil && o.SendCredentials:
			// The empty token takes the place of one that a server has of its own.
			at.secrets = []string{"AWS_ACCESS_KEY_ID=" + creds.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + creds.SecretAccessKey,
				"AWS_SESSION_TOKEN=" + creds.SessionToken}
			at.options.Profile = "" // it would take the place of what is sent
		case err != nil && (o.SendCredentials || !o.Unseen):
			return nil, noCredentials(err, "no credentials (set $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, or --profile, or --no-sign-request for public data)")
		case err != nil:
			return at, nil
		}
	}
	out, err := at.client.HeadBucket(ctx, &sdk.HeadBucketInput{Bucket: &bucket})
	switch region := otherRegion(err); {
	case err == nil:
		at.now, _ = awsmiddleware.GetServerTime(out.ResultMetadata)
	case region != "" && o.Region == "" && set.BaseEndpoint == nil:
		again := *o
		again.Region = region
		return reach(ctx, &again, bucket)
	case statusOf(err) == 404:
		if err := at.whyMissing(ctx, bucket); err != nil {
			return nil, err
		}
		return nil, &s3Error{text: fmt.Sprintf("there is no bucket %s at %s", bucket, endpointName(at.options.Endpoint)), err: err}
	case statusOf(err) != 403 && statusOf(err) != 400:
		return nil, err
	}
	return at, nil // what may be done there will be seen
}

// whyMissing asks for more than the status, all that the answer to a HEAD has, of a bucket
// that is said not to be there, and returns an error if it is another: of versitygw, that
// nobody has the access key.
func (at *place) whyMissing(ctx context.Context, bucket string) error {
	_, err := at.client.ListObjectsV2(ctx, &sdk.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(1)})
	switch codeOf(err) {
	case "NoSuchBucket", "NotFound", "":
		return nil
	}
	return err
}

func endpointName(endpoint string) string {
	if endpoint == "" {
		return "AWS"
	}
	return endpoint
}

// noCredentials says in words why there are no credentials: nowhere, if nothing was found.
func noCredentials(err error, nowhere string) error {
	if errors.As(err, new(*processcreds.ProviderError)) {
		return problem(err)
	}
	told := &s3Error{code: noCredentialsCode, text: "no credentials: " + oneLine(err.Error()), err: err}
	var op interface{ Service() string }
	if errors.As(err, &op) && op.Service() == "ec2imds" {
		told.text = nowhere
	}
	return told
}

// words returns arguments as the words of a command that needs no shell.
func words(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = quote(a)
	}
	return strings.Join(quoted, " ")
}

func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
