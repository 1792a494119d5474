package s3test

import (
	"net/http"
	"strings"
)

// Op is the S3 operation that a request asks for, by its name in the API.
type Op string

// The operations.
const (
	ListBuckets   Op = "ListBuckets"
	CreateBucket  Op = "CreateBucket"
	HeadBucket    Op = "HeadBucket"
	DeleteBucket  Op = "DeleteBucket"
	ListObjects   Op = "ListObjects" // both versions of it
	ListVersions  Op = "ListObjectVersions"
	ListUploads   Op = "ListMultipartUploads"
	DeleteObjects Op = "DeleteObjects"

	HeadObject     Op = "HeadObject"
	GetObject      Op = "GetObject"
	GetAttributes  Op = "GetObjectAttributes"
	PutObject      Op = "PutObject"
	CopyObject     Op = "CopyObject"
	DeleteObject   Op = "DeleteObject"
	CreateUpload   Op = "CreateMultipartUpload"
	UploadPart     Op = "UploadPart"
	ListParts      Op = "ListParts"
	CompleteUpload Op = "CompleteMultipartUpload"
	AbortUpload    Op = "AbortMultipartUpload"

	Other Op = "other" // such as where a bucket is, or the tags of an object
)

// Call is a request that a Proxy got.
type Call struct {
	Op     Op
	Bucket string
	Key    string
	Range  string // the header, or empty
	Struck bool   // it has met a fault
}

// newCall tells what a request with the bucket in its path asks for.
func newCall(r *http.Request) Call {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return Call{Op: opOf(r, bucket, key), Bucket: bucket, Key: key, Range: r.Header.Get("Range")}
}

// route is how a request asks for an operation.
type route struct {
	op     Op
	method string // empty is any
	query  string // a parameter that it has; empty is any
}

func opOf(r *http.Request, bucket, key string) Op {
	if bucket == "" {
		return ListBuckets
	}
	routes := objectRoutes()
	if key == "" {
		routes = bucketRoutes()
	}
	q := r.URL.Query()
	for _, x := range routes {
		if (x.method == "" || x.method == r.Method) && (x.query == "" || q.Has(x.query)) {
			if x.op == PutObject && r.Header.Get("X-Amz-Copy-Source") != "" {
				return CopyObject
			}
			return x.op
		}
	}
	return Other
}

// bucketRoutes are those of a bucket: the first that fits decides.
func bucketRoutes() []route {
	return []route{
		{Other, "", "location"}, {Other, "", "versioning"}, {Other, "", "acl"}, {Other, "", "policy"},
		{ListVersions, http.MethodGet, "versions"},
		{ListUploads, http.MethodGet, "uploads"},
		{DeleteObjects, http.MethodPost, "delete"},
		{ListObjects, http.MethodGet, ""},
		{HeadBucket, http.MethodHead, ""},
		{CreateBucket, http.MethodPut, ""},
		{DeleteBucket, http.MethodDelete, ""},
	}
}

// objectRoutes are those of an object.
func objectRoutes() []route {
	return []route{
		{Other, "", "tagging"}, {Other, "", "acl"}, {Other, "", "retention"}, {Other, "", "legal-hold"},
		{GetAttributes, http.MethodGet, "attributes"},
		{ListParts, http.MethodGet, "uploadId"},
		{GetObject, http.MethodGet, ""},
		{HeadObject, http.MethodHead, ""},
		{UploadPart, http.MethodPut, "partNumber"},
		{PutObject, http.MethodPut, ""},
		{CreateUpload, http.MethodPost, "uploads"},
		{CompleteUpload, http.MethodPost, "uploadId"},
		{AbortUpload, http.MethodDelete, "uploadId"},
		{DeleteObject, http.MethodDelete, ""},
	}
}
