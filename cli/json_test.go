package cli

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestJSONFields looks for fields of --json that README's table does not have.
func TestJSONFields(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(readme), "| `--json` of |")
	table, _, end := strings.Cut(table, "\n\n")
	if !ok || !end {
		t.Fatal("README has no table of --json")
	}
	for _, object := range []any{entryObject{}, statObject{}, usageObject{}, copyObject{}, syncObject{}, dryRunObject{},
		jobObject{}, taskObject{}, errorObject{}} {
		typ := reflect.TypeOf(object)
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if !strings.Contains(table, "`"+name+"`") {
				t.Errorf("%s: README's table has no %q", typ.Name(), name)
			}
		}
	}
}
