//go:build !amd64

package exec

import "errors"

// canLead says whether newLeader works on this processor.
const canLead = false

func newLeader() (int, error) { return 0, errors.ErrUnsupported }
