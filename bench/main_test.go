package bench

import (
	"os"
	"testing"

	"s4/node/nodetest"
)

func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }
