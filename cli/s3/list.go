package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// object is one that is to be imported.
type object struct {
	key  string
	rel  string // what it is called below the directory that is imported
	etag string
	size int64
}

// list calls yield for all objects that source, s3://bucket/path, means: the object of
// that name, or all below it as a directory. What stands for a directory itself, an empty
// object whose name ends in a slash, is left out.
func list(ctx context.Context, c *sdk.Client, source string, yield func(object) error) error {
	bucket, path, err := parseName(source)
	if err != nil {
		return err
	}
	if path != "" && !strings.HasSuffix(path, "/") {
		out, err := c.HeadObject(ctx, &sdk.HeadObjectInput{Bucket: &bucket, Key: &path})
		if err == nil {
			base := path[strings.LastIndexByte(path, '/')+1:]
			return yield(object{path, base, aws.ToString(out.ETag), aws.ToInt64(out.ContentLength)})
		}
		if !isMissing(err) {
			return err
		}
		path += "/"
	}
	pages := sdk.NewListObjectsV2Paginator(c, &sdk.ListObjectsV2Input{
		Bucket: &bucket, Prefix: &path,
		EncodingType: types.EncodingTypeUrl, // XML has no place for control characters
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		if aws.ToBool(page.IsTruncated) && aws.ToString(page.NextContinuationToken) == "" {
			return errors.New("S3 has not listed all objects, and does not say how to go on")
		}
		for i := range page.Contents {
			key := aws.ToString(page.Contents[i].Key)
			if page.EncodingType == types.EncodingTypeUrl {
				if key, err = url.QueryUnescape(key); err != nil {
					return fmt.Errorf("the listing has a malformed name: %w", err)
				}
			}
			o := object{key: key, etag: aws.ToString(page.Contents[i].ETag), size: aws.ToInt64(page.Contents[i].Size)}
			rel, ok := strings.CutPrefix(key, path)
			if !ok || o.size == 0 && (rel == "" || strings.HasSuffix(rel, "/")) {
				continue
			}
			o.rel = rel
			if err := yield(o); err != nil {
				return err
			}
		}
	}
	return nil
}
