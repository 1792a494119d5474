package ui_test

import (
	"os"
	"testing"

	"github.com/nathants/s4/node/nodetest"
)

func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }
