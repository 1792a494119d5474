package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/smithy-go"
)

// problem says in words what went wrong with a request, and what to do. It returns errors
// that are none of S3 as they are.
func problem(err error) error {
	var told *s3Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &told):
		return err
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, new(*processcreds.ProviderError)):
		// Its text may have the output of the process, and so credentials.
		return &s3Error{noCredentialsCode, "no credentials: the profile's credential_process fails, or prints something else than its JSON (run it by itself)", err}
	}
	var api smithy.APIError
	code, message := "", ""
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), oneLine(api.ErrorMessage())
	}
	status := 0
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	if text := inWords(code, status); text != "" {
		return &s3Error{code, text, err}
	}
	if region := otherRegion(err); region != "" {
		return &s3Error{code, "the bucket is in another region (--region " + region + ")", err}
	}
	var network net.Error
	var at *url.Error
	switch {
	case code != "" && status > 0:
		return &s3Error{code, fmt.Sprintf("S3 answered %d %s: %s", status, code, message), err}
	case errors.As(err, &at):
		return &s3Error{code, oneLine(at.Err.Error()) + " (is that S3's address? --endpoint-url)", err}
	case errors.As(err, &network):
		return &s3Error{code, oneLine(network.Error()), err}
	case status > 0:
		return &s3Error{code, fmt.Sprintf("S3 answered with status %d", status), err}
	}
	return err
}

// noCredentialsCode is the code of errors that S3 has no part in.
const noCredentialsCode = "NoCredentials"

// s3Error is an error in words.
type s3Error struct {
	code, text string
	err        error
}

func (e *s3Error) Error() string { return e.text }
func (e *s3Error) Unwrap() error { return e.err }

// hopeless reports whether no other object can be read or written either.
func (e *s3Error) hopeless() bool {
	switch e.code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidAccessKeyId", "XAdminUserNotFound", "SignatureDoesNotMatch", "NoSuchBucket", noCredentialsCode:
		return true
	}
	return false
}

// inWords has the errors that one can do something about; "" for others. Codes are those of
// "Error responses" in the S3 API reference; HEAD has none but the status.
func inWords(code string, status int) string {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return "the credentials have expired (get new ones, and run it again)"
	case "InvalidAccessKeyId", "InvalidToken", "XAdminUserNotFound": // the last is of versitygw
		return "S3 does not know the credentials (see $AWS_ACCESS_KEY_ID, $AWS_SESSION_TOKEN, --profile and --endpoint-url)"
	case "SignatureDoesNotMatch":
		return "the secret key is wrong (see $AWS_SECRET_ACCESS_KEY, --profile)"
	case "RequestTimeTooSkewed":
		return "this machine's clock is wrong (set it)"
	case "NoSuchBucket":
		return "there is no such bucket"
	case "NoSuchUpload":
		return "the upload was aborted by another"
	case "BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "XAmzContentChecksumMismatch":
		return "S3 got other bytes than were sent"
	case "SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded":
		return fmt.Sprintf("S3 asks to slow down, also after %d tries (--retries, or fewer requests at once: --parallel)", attempts)
	case "InvalidObjectState":
		return "the object is in an archive (restore it first)"
	case "RequestTimeout":
		return "S3 got nothing for too long"
	}
	switch {
	case code == "PreconditionFailed", status == 412:
		return errChanged.Error()
	case code == "NoSuchKey", code == "NotFound", code == "NoSuchVersion", status == 404:
		return "there is no such object"
	case code == "AccessDenied", code == "Forbidden", status == 403:
		return "access denied (see 'aws sts get-caller-identity' for whose credentials they are)"
	case status == 503 && code == "":
		return inWords("SlowDown", 0)
	}
	return ""
}

// otherRegion returns the region that the bucket is in if that is why a request failed.
func otherRegion(err error) string {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return ""
	}
	switch answer.HTTPStatusCode() {
	case 301, 307, 400:
		return answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// statusOf returns the HTTP status of an error's answer, or 0.
func statusOf(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// codeOf returns S3's code of an error, or "".
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
