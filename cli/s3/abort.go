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
// that mine says are ours, and returns how many there were. A task that is killed cannot do it.
func abortSince(ctx context.Context, c *sdk.Client, to destination, since time.Time, mine func(key string) bool) (n int, err error) {
	pages := sdk.NewListMultipartUploadsPaginator(c, &sdk.ListMultipartUploadsInput{Bucket: &to.bucket, Prefix: aws.String(to.prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, err
		}
		for _, u := range page.Uploads {
			if u.Initiated == nil || u.Initiated.Before(since) || u.Key == nil || !mine(*u.Key) {
				continue
			}
			if _, err := c.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &to.bucket, Key: u.Key, UploadId: u.UploadId}); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
