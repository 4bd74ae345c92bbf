package agent

import (
	"context"

	"github.com/outwork-build/outwork/cas"
)

// Toolkeeper is a Machine that keeps a folder of tools as the controller has it: compilers, runtimes, what a site's builds need.
//
// A lease sees one state of the folder from its Open to its end, under Workspace.Tools and in OUTWORK_TOOLS, whatever is
// synced meanwhile. The folder `tools` below Description.Root is always the newest state.
type Toolkeeper interface {
	// SyncTools makes the folder like a tree: it fetches only the blobs that it has not in the state before, puts the new state
	// together beside it and exchanges the two at once. What fails changes nothing: the state before stays whole. It is idempotent,
	// finds and mends what was changed on the machine since, and may be called while leases are open. Kinds of its errors, beside
	// those of the cas: fault.Exhausted when the disk has no room; fault.Conflict when the folder is there and not one that the
	// machine made; fault.Invalid for a tree that cannot be one here.
	SyncTools(ctx context.Context, r ToolsRequest) (ToolsSynced, error)
}

// ToolsRequest says what the folder of tools should be.
type ToolsRequest struct {
	Root cas.Digest // of a tree as cas/tree makes it
	// Keep lists folders below the tools, with slashes, "" the whole, in which what is not in the tree stays. They do not have to
	// be there. At most 1000.
	Keep []string
}

// ToolsSynced is what came of it.
type ToolsSynced struct {
	Path    string // of the folder, absolute
	Changed bool   // it was not so already
	Blobs   int64  // that had to be fetched, Directory messages not among them
	Bytes   int64  // of these
}
