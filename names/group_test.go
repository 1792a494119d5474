package names

import (
	"reflect"
	"testing"
)

func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		keys []string
		want []Group
	}{
		{nil, nil},
		{[]string{"a/0_x", "b/0_x", "a/1_x"}, []Group{{"0_x", []int32{0, 1}}, {"1_x", []int32{2}}}},
		{[]string{"0_x", "0_y", "0"}, []Group{{"0", []int32{0, 1, 2}}}},
		{[]string{"007_k", "7_k"}, []Group{{"007_k", []int32{0}}, {"7_k", []int32{1}}}},
		{[]string{"x/k", "1_k", "y/k", "k_1"}, []Group{{"k", []int32{0, 2}}, {"1_k", []int32{1}}, {"k_1", []int32{3}}}},
	} {
		if got := Groups(tt.keys); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.keys, got, tt.want)
		}
	}
}
