package s3

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
)

// abortTime is how long aborting may take: the command is about to end.
const abortTime = 10 * time.Second

// abort removes the parts of an upload, also if ctx has ended. If it fails, S3 keeps
// them, until a lifecycle rule of the bucket ends them.
func abort(ctx context.Context, c *sdk.Client, bucket, key string, id *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	_, _ = c.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: id})
}

// abortSince aborts uploads of objects below a prefix that began at since or later and
// that mine says are ours, and returns how many there were. A task that is killed cannot do
// it. One that fails does not stop the others: the error is the first.
func abortSince(ctx context.Context, c *sdk.Client, to destination, since time.Time, mine func(key string) (bool, error)) (n int, err error) {
	fail := func(why error) {
		if err == nil {
			err = why
		}
	}
	pages := sdk.NewListMultipartUploadsPaginator(c, &sdk.ListMultipartUploadsInput{Bucket: &to.bucket, Prefix: aws.String(to.prefix)})
	for pages.HasMorePages() {
		page, perr := pages.NextPage(ctx)
		if perr != nil {
			fail(perr)
			break
		}
		for _, u := range page.Uploads {
			if u.Initiated == nil || u.Initiated.Before(since) || u.Key == nil {
				continue
			}
			ours, merr := mine(*u.Key)
			if merr != nil {
				fail(merr)
			}
			if !ours {
				continue
			}
			_, aerr := c.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &to.bucket, Key: u.Key, UploadId: u.UploadId})
			switch {
			case aerr == nil:
				n++
			case codeOf(aerr) != "NoSuchUpload": // else it has just ended by itself
				fail(aerr)
			}
		}
	}
	return n, err
}
