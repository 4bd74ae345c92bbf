package remote

import (
	"io/fs"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/cas"
)

// Each message has a pair of functions, toX and fromX; both only copy. What is copied is checked in validate.go.

func toLease(l agent.Lease) *agentpb.Lease { return &agentpb.Lease{Item: l.Item, Epoch: l.Epoch} }

func fromLease(l *agentpb.Lease) agent.Lease {
	return agent.Lease{Item: l.GetItem(), Epoch: l.GetEpoch()}
}

func toLeases(ls []agent.Lease) []*agentpb.Lease {
	out := make([]*agentpb.Lease, len(ls))
	for i, l := range ls {
		out[i] = toLease(l)
	}
	return out
}

func fromLeases(ls []*agentpb.Lease) []agent.Lease {
	out := make([]agent.Lease, len(ls))
	for i, l := range ls {
		out[i] = fromLease(l)
	}
	return out
}

// toMillis rounds away from zero: a grace of 1 µs must not become the default.
func toMillis(d time.Duration) int64 {
	ms := d / time.Millisecond
	switch rest := d % time.Millisecond; {
	case rest > 0:
		ms++
	case rest < 0:
		ms--
	}
	return int64(ms)
}

// fromMillis clamps what does not fit: the check of the duration refuses it then.
func fromMillis(ms int64) time.Duration {
	const limit = int64(2 * maxDuration / time.Millisecond)
	return time.Duration(max(-limit, min(limit, ms))) * time.Millisecond
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil || t.CheckValid() != nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toDescription(d agent.Description) *agentpb.Description {
	return &agentpb.Description{Version: d.Version, Os: d.OS, Arch: d.Arch, Hostname: d.Hostname, Cpus: int32(d.CPUs), Root: d.Root,
		Boot: d.Boot, Pid: int64(d.PID), Shells: d.Shells, Git: d.Git, Env: d.Env}
}

func fromDescription(d *agentpb.Description) agent.Description {
	return agent.Description{Version: d.GetVersion(), OS: d.GetOs(), Arch: d.GetArch(), Hostname: d.GetHostname(), CPUs: int(d.GetCpus()),
		Root: d.GetRoot(), Boot: d.GetBoot(), PID: int(d.GetPid()), Shells: d.GetShells(), Git: d.GetGit(), Env: d.GetEnv()}
}

func toOpen(r agent.OpenRequest) *agentpb.OpenRequest {
	return &agentpb.OpenRequest{Lease: toLease(r.Lease), Job: r.Job, Workspace: r.Workspace, Build: r.Build, Env: r.Env,
		Policy: string(r.Policy), TtlMs: toMillis(r.TTL)}
}

func fromOpen(r *agentpb.OpenRequest) agent.OpenRequest {
	return agent.OpenRequest{Lease: fromLease(r.GetLease()), Job: r.GetJob(), Workspace: r.GetWorkspace(), Build: r.GetBuild(), Env: r.GetEnv(),
		Policy: agent.Policy(r.GetPolicy()), TTL: fromMillis(r.GetTtlMs())}
}

func toWorkspace(w agent.Workspace) *agentpb.Workspace {
	return &agentpb.Workspace{Path: w.Path, Tmp: w.Tmp, Home: w.Home, Tools: w.Tools}
}

func fromWorkspace(w *agentpb.Workspace) agent.Workspace {
	return agent.Workspace{Path: w.GetPath(), Tmp: w.GetTmp(), Home: w.GetHome(), Tools: w.GetTools()}
}

func toStart(r agent.StartRequest) *agentpb.StartRequest {
	return &agentpb.StartRequest{Lease: toLease(r.Lease), Step: string(r.Step), Interpreter: r.Interpreter, Script: r.Script, Argv: r.Argv,
		Dir: r.Dir, Env: r.Env, Capture: r.Capture, MaxOutput: r.MaxOutput}
}

func fromStart(r *agentpb.StartRequest) agent.StartRequest {
	return agent.StartRequest{Lease: fromLease(r.GetLease()), Step: agent.StepID(r.GetStep()), Interpreter: r.GetInterpreter(), Script: r.GetScript(),
		Argv: r.GetArgv(), Dir: r.GetDir(), Env: r.GetEnv(), Capture: r.GetCapture(), MaxOutput: r.GetMaxOutput()}
}

func toStop(r agent.StopRequest) *agentpb.StopRequest {
	return &agentpb.StopRequest{Lease: toLease(r.Lease), Step: string(r.Step), GraceMs: toMillis(r.Grace), Reason: r.Reason}
}

func fromStop(r *agentpb.StopRequest) agent.StopRequest {
	return agent.StopRequest{Lease: fromLease(r.GetLease()), Step: agent.StepID(r.GetStep()), Grace: fromMillis(r.GetGraceMs()), Reason: r.GetReason()}
}

// toExit leaves the captured stdout out: it has messages of its own.
func toExit(e agent.Exit) *agentpb.Exit {
	return &agentpb.Exit{Code: int64(e.Code), Signal: e.Signal, Stopped: e.Stopped, Lost: e.Lost, Reason: e.Reason, Output: e.Output,
		Dropped: e.Dropped, Started: toTime(e.Started), Ended: toTime(e.Ended)}
}

func fromExit(e *agentpb.Exit) agent.Exit {
	return agent.Exit{Code: int(e.GetCode()), Signal: e.GetSignal(), Stopped: e.GetStopped(), Lost: e.GetLost(), Reason: e.GetReason(),
		Output: e.GetOutput(), Dropped: e.GetDropped(), Started: fromTime(e.GetStarted()), Ended: fromTime(e.GetEnded())}
}

func toFileInfo(f agent.FileInfo) *agentpb.FileInfo {
	return &agentpb.FileInfo{Path: f.Path, Size: f.Size, Mode: uint32(f.Mode), ModTime: toTime(f.ModTime)}
}

func fromFileInfo(f *agentpb.FileInfo) agent.FileInfo {
	return agent.FileInfo{Path: f.GetPath(), Size: f.GetSize(), Mode: fs.FileMode(f.GetMode()), ModTime: fromTime(f.GetModTime())}
}

func toGlob(r agent.GlobRequest) *agentpb.GlobRequest {
	return &agentpb.GlobRequest{Lease: toLease(r.Lease), Dir: r.Dir, Includes: r.Includes, Excludes: r.Excludes,
		DefaultExcludes: r.DefaultExcludes, CaseInsensitive: r.CaseInsensitive}
}

func fromGlob(r *agentpb.GlobRequest) agent.GlobRequest {
	return agent.GlobRequest{Lease: fromLease(r.GetLease()), Dir: r.GetDir(), Includes: r.GetIncludes(), Excludes: r.GetExcludes(),
		DefaultExcludes: r.GetDefaultExcludes(), CaseInsensitive: r.GetCaseInsensitive()}
}

func toDigest(d cas.Digest) *agentpb.Digest { return &agentpb.Digest{Hash: d.Hash, Size: d.Size} }

func fromDigest(d *agentpb.Digest) cas.Digest {
	return cas.Digest{Hash: d.GetHash(), Size: d.GetSize()}
}

func toPackedFile(f agent.PackedFile) *agentpb.PackedFile {
	return &agentpb.PackedFile{Path: f.Path, Digest: toDigest(f.Digest), Mode: uint32(f.Mode)}
}

func fromPackedFile(f *agentpb.PackedFile) agent.PackedFile {
	return agent.PackedFile{Path: f.GetPath(), Digest: fromDigest(f.GetDigest()), Mode: fs.FileMode(f.GetMode())}
}
