package memory_test

import (
	"testing"

	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/cas/castest"
	"github.com/outwork-build/outwork/cas/memory"
)

func TestActions(t *testing.T) {
	castest.RunActions(t, func(*testing.T) cas.ActionCache { return new(memory.Actions) })
}

func TestFinder(t *testing.T) {
	castest.RunFinder(t, func(*testing.T) cas.Finder { return memory.New(memory.Config{}) })
}
