package node

import "testing"

// A prepare counts itself as a reader of the stages that were prepared before, and
// takes itself off again: their trees are closed when their jobs end, not before and
// not never.
func TestPrepareCountsItsReading(t *testing.T) {
	s := testStore(t, t.TempDir())
	first, second := testStage(t, s, 1, "b/k"), testStage(t, s, 2, "b/l")
	for _, p := range []*stage{first, second} {
		if err := p.prepare(); err != nil {
			t.Fatal(err)
		}
	}
	if first.readers != 0 || second.readers != 0 {
		t.Errorf("%d and %d readers are left", first.readers, second.readers)
	}
	for _, p := range []*stage{first, second} {
		if err := p.remove(); err != nil {
			t.Fatal(err)
		}
		if p.isOpen() {
			t.Errorf("the tree of job %d is still open", p.id)
		}
	}
}
