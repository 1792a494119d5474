package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	smithy "github.com/aws/smithy-go/transport/http"

	"github.com/nathants/s4/cli"
)

const (
	// attempts is how often a request is sent, and how often a range is asked for from
	// where it broke, before the task fails. The pauses between double each time, up to
	// longestPause, which is also that of the SDK.
	attempts     = 7
	longestPause = 20 * time.Second

	// silence is how long S3 may send nothing, or take nothing, in mid transfer.
	silence = 60 * time.Second

	// bodyBuffer is how much is read from a connection or sent to it at once.
	bodyBuffer = 256 << 10
)

// newConfig finds region and endpoint, and where credentials come from.
func newConfig(ctx context.Context, o *cli.S3Options) (aws.Config, error) {
	opts := []func(*config.LoadOptions) error{
		config.WithHTTPClient(httpClient()),
		config.WithRetryMaxAttempts(attempts),
		config.WithLogger(logging.Nop{}), // standard error has one line, for what failed
		// What is fetched is compared here, range by range, with what S3 has stored.
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
	}
	if o.Profile != "" {
		opts = append(opts, config.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		opts = append(opts, config.WithRegion(o.Region))
	}
	if o.NoSign {
		opts = append(opts, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	var missing config.SharedConfigProfileNotExistError
	if errors.As(err, &missing) {
		err = &s3Error{text: fmt.Sprintf("there is no profile %s in the AWS configuration (--profile, $AWS_PROFILE)", missing.Profile), err: err}
	}
	return cfg, err
}

// newClient returns a client of the service that o names, or the environment, unless it is
// for a task: then it is AWS.
func newClient(cfg aws.Config, o *cli.S3Options, isTask bool) *sdk.Client {
	return sdk.NewFromConfig(cfg, func(so *sdk.Options) {
		switch {
		case o.Endpoint != "":
			so.BaseEndpoint = aws.String(o.Endpoint)
		case isTask: // a server's own environment may name another service than was listed
			so.BaseEndpoint = nil
		}
		if so.Region == "" {
			so.Region = "us-east-1" // what services that are not AWS take
		}
		so.UsePathStyle = o.PathStyle || so.BaseEndpoint != nil && !ofAWS(*so.BaseEndpoint)
		// Of the body, a request's signature has nothing, as with TLS: it has a CRC that is
		// signed, and a SHA-256 costs more CPU time than all the rest.
		so.APIOptions = append(so.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		if o.RequesterPays {
			so.APIOptions = append(so.APIOptions, smithy.SetHeaderValue("X-Amz-Request-Payer", "requester"))
		}
	})
}

// ofAWS reports whether an endpoint is one of AWS, where a bucket is part of the host's
// name.
func ofAWS(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") || strings.HasSuffix(host, ".api.aws")
}

func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DisableCompression = true // objects are to come as they are stored
		t.MaxIdleConnsPerHost = 256
		t.WriteBufferSize = bodyBuffer
		t.ResponseHeaderTimeout = silence
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &impatientConn{c}, nil
		}
	})
}

// impatientConn is a connection that breaks when nothing moves for silence.
type impatientConn struct{ net.Conn }

func (c *impatientConn) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(silence)) // it fails only on a closed connection
	return c.Conn.Read(p)
}

func (c *impatientConn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(silence))
	return c.Conn.Write(p)
}
