package web_test

import (
	"os"
	"testing"

	"github.com/outwork-build/outwork/server/servertest"
)

func TestMain(m *testing.M) {
	servertest.Main()
	os.Exit(m.Run())
}
