package remote

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/outwork-build/outwork/agent"
	"github.com/outwork-build/outwork/api/agentpb"
	"github.com/outwork-build/outwork/cas"
	"github.com/outwork-build/outwork/internal/fault"
	"github.com/outwork-build/outwork/wire/mux"
	"github.com/outwork-build/outwork/wire/rpc"
	"github.com/outwork-build/outwork/wire/stdio"
)

// rogue is an agent that answers whatever a test wants, without any of the checks.
type rogue struct {
	agentpb.UnimplementedMachineServer
	desc   *agentpb.Description
	leases []*agentpb.Lease
	follow []*agentpb.FollowResponse
	globs  []*agentpb.GlobResponse
	packs  []*agentpb.PackResponse
	chunks int
	info   *agentpb.FileInfo
	work   *agentpb.Workspace
	vitals *agentpb.Vitals
}

func (r *rogue) Describe(context.Context, *agentpb.DescribeRequest) (*agentpb.Description, error) {
	return r.desc, nil
}
func (r *rogue) Open(context.Context, *agentpb.OpenRequest) (*agentpb.Workspace, error) {
	return r.work, nil
}
func (r *rogue) Stat(context.Context, *agentpb.StatRequest) (*agentpb.FileInfo, error) {
	return r.info, nil
}
func (r *rogue) Renew(context.Context, *agentpb.RenewRequest) (*agentpb.RenewResponse, error) {
	return &agentpb.RenewResponse{Open: r.leases, Vitals: r.vitals}, nil
}
func (r *rogue) Follow(_ *agentpb.FollowRequest, s agentpb.Machine_FollowServer) error {
	return sendAll(r.follow, s.Send)
}
func (r *rogue) Glob(_ *agentpb.GlobRequest, s agentpb.Machine_GlobServer) error {
	return sendAll(r.globs, s.Send)
}
func (r *rogue) Pack(_ *agentpb.GlobRequest, s agentpb.Machine_PackServer) error {
	return sendAll(r.packs, s.Send)
}
func (r *rogue) ReadFile(_ *agentpb.ReadFileRequest, s agentpb.Machine_ReadFileServer) error {
	for range r.chunks {
		if err := s.Send(&agentpb.Chunk{Data: make([]byte, 1<<20)}); err != nil {
			return err
		}
	}
	return nil
}

func sendAll[M any](all []M, send func(M) error) error {
	for _, m := range all {
		if err := send(m); err != nil {
			return err
		}
	}
	return nil
}

// raw connects two peers without the code of this package.
func raw(t testing.TB, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	a, b, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, d, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	near, err := mux.Dialer(stdio.New(a, d, "far"), mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	far, err := mux.Listener(stdio.New(c, b, "near"), mux.Config{})
	if err != nil {
		t.Fatal(err)
	}
	np, err := rpc.New(near, rpc.Config{})
	if err != nil {
		t.Fatal(err)
	}
	fp, err := rpc.New(far, rpc.Config{Register: register})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { np.Close(); fp.Close() })
	return np.Conn()
}

var good = agent.Lease{Item: "i", Epoch: 1}

// T3: what a rogue agent answers is refused, and never mistaken for a fault of the caller or of the build.
func TestHostileAnswers(t *testing.T) {
	long := strings.Repeat("x", maxPath+1)
	out := func(offset int64, n int) *agentpb.FollowResponse {
		return &agentpb.FollowResponse{Event: &agentpb.FollowResponse_Output{Output: &agentpb.Output{Offset: offset, Data: make([]byte, n)}}}
	}
	exit := func(e *agentpb.Exit) *agentpb.FollowResponse {
		return &agentpb.FollowResponse{Event: &agentpb.FollowResponse_Exit{Exit: e}}
	}
	files := func(paths ...string) []*agentpb.GlobResponse {
		var g []*agentpb.GlobResponse
		for _, p := range paths {
			g = append(g, &agentpb.GlobResponse{Files: []*agentpb.FileInfo{{Path: p}}})
		}
		return g
	}
	describe := func(m agent.Machine) error { _, err := m.Describe(t.Context()); return err }
	follow := func(m agent.Machine) error {
		_, err := m.Follow(t.Context(), good, "s", 0, func(agent.Output) error { return nil })
		return err
	}
	glob := func(m agent.Machine) error {
		_, err := m.Glob(t.Context(), agent.GlobRequest{Lease: good})
		return err
	}
	pack := func(m agent.Machine) error {
		_, err := m.Pack(t.Context(), agent.GlobRequest{Lease: good})
		return err
	}
	var stdout []*agentpb.FollowResponse
	for range 17 {
		stdout = append(stdout, &agentpb.FollowResponse{Event: &agentpb.FollowResponse_Stdout{Stdout: make([]byte, 1<<20)}})
	}
	packed := &agentpb.PackedFile{Path: "p", Digest: toDigest(cas.Empty)}
	renew := func(m agent.Machine) error {
		_, _, _, err := m.Renew(t.Context(), nil, 0)
		return err
	}
	cases := []struct {
		name string
		r    *rogue
		call func(agent.Machine) error
	}{
		{"a root too long", &rogue{desc: &agentpb.Description{Root: long}}, describe},
		{"too many shells", &rogue{desc: &agentpb.Description{Shells: make([]string, 100)}}, describe},
		{"a zero byte", &rogue{desc: &agentpb.Description{Hostname: "a\x00b"}}, describe},
		{"negative CPUs", &rogue{desc: &agentpb.Description{Cpus: -1}}, describe},
		{"a workspace too long", &rogue{work: &agentpb.Workspace{Path: long}}, func(m agent.Machine) error {
			_, err := m.Open(t.Context(), agent.OpenRequest{Lease: good})
			return err
		}},
		{"a lease without a name", &rogue{leases: []*agentpb.Lease{{Epoch: 1}}}, renew},
		{"vitals with a path too long", &rogue{vitals: &agentpb.Vitals{Disk: &agentpb.Space{Path: long}}}, renew},
		{"negative memory", &rogue{vitals: &agentpb.Vitals{Memory: -2}}, renew},
		{"a load that is no number", &rogue{vitals: &agentpb.Vitals{Load: math.NaN()}}, renew},
		{"a file too long", &rogue{chunks: 17}, func(m agent.Machine) error {
			_, err := m.ReadFile(t.Context(), good, "p", 0)
			return err
		}},
		{"a file longer than asked for", &rogue{chunks: 1}, func(m agent.Machine) error {
			_, err := m.ReadFile(t.Context(), good, "p", 5)
			return err
		}},
		{"a path too long", &rogue{info: &agentpb.FileInfo{Path: long}}, func(m agent.Machine) error {
			_, err := m.Stat(t.Context(), good, "p")
			return err
		}},
		{"output with a gap", &rogue{follow: []*agentpb.FollowResponse{out(0, 5), out(6, 5)}}, follow},
		{"output twice", &rogue{follow: []*agentpb.FollowResponse{out(0, 5), out(0, 5)}}, follow},
		{"output too long", &rogue{follow: []*agentpb.FollowResponse{out(0, maxOutput+1)}}, follow},
		{"stdout too long", &rogue{follow: stdout}, follow},
		{"an empty event", &rogue{follow: []*agentpb.FollowResponse{{}}}, follow},
		{"no exit", &rogue{follow: []*agentpb.FollowResponse{out(0, 5)}}, follow},
		{"a negative length", &rogue{follow: []*agentpb.FollowResponse{exit(&agentpb.Exit{Output: -1})}}, follow},
		{"an endless reason", &rogue{follow: []*agentpb.FollowResponse{exit(&agentpb.Exit{Reason: long})}}, follow},
		{"a path that leads out", &rogue{globs: files("ok", "../x")}, glob},
		{"a path that leads out later", &rogue{globs: files("a/../../x")}, glob},
		{"a path that ends outside", &rogue{globs: files("a/..")}, glob},
		{"an absolute path", &rogue{globs: files("/etc/passwd")}, glob},
		{"no path", &rogue{globs: files("")}, glob},
		{"no root", &rogue{packs: []*agentpb.PackResponse{{Files: []*agentpb.PackedFile{packed}}}}, pack},
		{"a root that is no digest", &rogue{packs: []*agentpb.PackResponse{{Root: &agentpb.PackRoot{Digest: &agentpb.Digest{Hash: "../../etc"}}}}}, pack},
		{"a file without a digest", &rogue{packs: []*agentpb.PackResponse{{Files: []*agentpb.PackedFile{{Path: "p"}}}}}, pack},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := New(raw(t, func(r grpc.ServiceRegistrar) { agentpb.RegisterMachineServer(r, c.r) }))
			if err := c.call(m); !fault.Is(err, fault.Internal) {
				t.Errorf("%v (%v)", err, fault.Of(err))
			}
		})
	}
}

// never is a Machine that must not be reached.
type never struct{ agent.Machine }

func badRequests() map[string]func(context.Context, agent.Machine) error {
	long := strings.Repeat("x", maxPatterns+1)
	env := map[string]string{"A": strings.Repeat("x", maxEnv)}
	return map[string]func(context.Context, agent.Machine) error{
		"no item":  func(ctx context.Context, m agent.Machine) error { return m.Close(ctx, agent.Lease{Epoch: 1}) },
		"no epoch": func(ctx context.Context, m agent.Machine) error { return m.Close(ctx, agent.Lease{Item: "i"}) },
		"a long item": func(ctx context.Context, m agent.Machine) error {
			return m.Close(ctx, agent.Lease{Item: long, Epoch: 1})
		},
		"no step":     func(ctx context.Context, m agent.Machine) error { return m.Forget(ctx, good, "") },
		"a long step": func(ctx context.Context, m agent.Machine) error { return m.Forget(ctx, good, agent.StepID(long)) },
		"a zero byte": func(ctx context.Context, m agent.Machine) error { return m.Remove(ctx, good, "a\x00b") },
		"a long path": func(ctx context.Context, m agent.Machine) error { return m.Remove(ctx, good, long) },
		"a long script": func(ctx context.Context, m agent.Machine) error {
			return m.Start(ctx, agent.StartRequest{Lease: good, Step: "s", Script: make([]byte, maxScript+1)})
		},
		"a long argv": func(ctx context.Context, m agent.Machine) error {
			return m.Start(ctx, agent.StartRequest{Lease: good, Step: "s", Argv: make([]string, maxArgv+1)})
		},
		"a long env": func(ctx context.Context, m agent.Machine) error {
			return m.Start(ctx, agent.StartRequest{Lease: good, Step: "s", Env: env})
		},
		"a bad name": func(ctx context.Context, m agent.Machine) error {
			return m.Start(ctx, agent.StartRequest{Lease: good, Step: "s", Env: map[string]string{"A=B": ""}})
		},
		"negative output": func(ctx context.Context, m agent.Machine) error {
			return m.Start(ctx, agent.StartRequest{Lease: good, Step: "s", MaxOutput: -1})
		},
		"a long grace": func(ctx context.Context, m agent.Machine) error {
			return m.Stop(ctx, agent.StopRequest{Lease: good, Step: "s", Grace: 2 * maxDuration})
		},
		"a bad policy": func(ctx context.Context, m agent.Machine) error {
			_, err := m.Open(ctx, agent.OpenRequest{Lease: good, Policy: "x"})
			return err
		},
		"a negative ttl": func(ctx context.Context, m agent.Machine) error {
			_, err := m.Open(ctx, agent.OpenRequest{Lease: good, TTL: -1e9})
			return err
		},
		"negative offset": func(ctx context.Context, m agent.Machine) error {
			_, err := m.Follow(ctx, good, "s", -1, nil)
			return err
		},
		"a negative limit": func(ctx context.Context, m agent.Machine) error { _, err := m.ReadFile(ctx, good, "p", -1); return err },
		"long patterns": func(ctx context.Context, m agent.Machine) error {
			_, err := m.Glob(ctx, agent.GlobRequest{Lease: good, Includes: long})
			return err
		},
		"bad packing": func(ctx context.Context, m agent.Machine) error {
			_, err := m.Pack(ctx, agent.GlobRequest{Lease: good, Dir: long})
			return err
		},
		"no digest": func(ctx context.Context, m agent.Machine) error {
			return m.Unpack(ctx, good, cas.Digest{Hash: "x"}, "")
		},
		"no lease in stat": func(ctx context.Context, m agent.Machine) error {
			_, err := m.Stat(ctx, agent.Lease{}, "p")
			return err
		},
		"no lease written": func(ctx context.Context, m agent.Machine) error { return m.WriteFile(ctx, agent.Lease{}, "p", nil, 0) },
		"many leases": func(ctx context.Context, m agent.Machine) error {
			_, _, _, err := m.Renew(ctx, make([]agent.Lease, maxLeases+1), 0)
			return err
		},
	}
}

// Bad requests do not leave this side.
func TestBadRequestsAreNotSent(t *testing.T) {
	for name, call := range badRequests() {
		if err := call(t.Context(), New(nil)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v (%v)", name, err, fault.Of(err))
		}
	}
	if err := New(nil).WriteFile(t.Context(), good, "p", make([]byte, maxFile+1), 0); !fault.Is(err, fault.Exhausted) {
		t.Errorf("too much to write: %v", err)
	}
}

// The agent refuses the same requests of a controller that does not check.
func TestBadRequestsAreRefused(t *testing.T) {
	m := &unchecked{agentpb.NewMachineClient(raw(t, func(r grpc.ServiceRegistrar) { agentpb.RegisterMachineServer(r, &server{machine: never{}}) }))}
	for name, call := range badRequests() {
		if err := call(t.Context(), m); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v (%v)", name, err, fault.Of(err))
		}
	}
}

// A file comes with one header first.
func TestWriteFileOutOfOrder(t *testing.T) {
	client := agentpb.NewMachineClient(raw(t, func(r grpc.ServiceRegistrar) { agentpb.RegisterMachineServer(r, &server{machine: never{}}) }))
	header := &agentpb.WriteFileRequest{Part: &agentpb.WriteFileRequest_Header{Header: &agentpb.WriteFileHeader{Lease: toLease(good), Path: "p"}}}
	data := &agentpb.WriteFileRequest{Part: &agentpb.WriteFileRequest_Data{Data: []byte("x")}}
	for name, parts := range map[string][]*agentpb.WriteFileRequest{
		"nothing": {}, "data first": {data, header}, "two headers": {header, data, header},
	} {
		s, err := client.WriteFile(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if s.Send(p) != nil {
				break
			}
		}
		if _, err := s.CloseAndRecv(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v (%v)", name, err, fault.Of(err))
		}
	}
}

// FuzzMessages: whatever bytes come as a message, decoding, copying and checking do not fail otherwise than with an error, and what
// passes the checks is the same after a way there and back.
func FuzzMessages(f *testing.F) {
	seed := func(kind byte, m proto.Message) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, b)
	}
	seed(0, toStart(agent.StartRequest{Lease: good, Step: "s", Script: []byte("x"), Env: map[string]string{"A": "b"}}))
	seed(1, toOpen(agent.OpenRequest{Lease: good, Policy: agent.Kill, TTL: 1e9}))
	seed(2, toExit(agent.Exit{Code: 3}))
	seed(3, toDescription(agent.Description{Shells: []string{"sh"}}))
	seed(4, toStop(agent.StopRequest{Lease: good, Step: "s", Grace: -1}))
	seed(5, toGlob(agent.GlobRequest{Lease: good, Includes: "**"}))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		var m, back proto.Message
		var err error
		switch kind % 6 {
		case 0:
			p := &agentpb.StartRequest{}
			if proto.Unmarshal(b, p) != nil {
				return
			}
			r := fromStart(p)
			m, back, err = p, toStart(r), checkStart(r)
		case 1:
			p := &agentpb.OpenRequest{}
			if proto.Unmarshal(b, p) != nil {
				return
			}
			r := fromOpen(p)
			m, back, err = p, toOpen(r), checkOpen(r)
		case 2:
			p := &agentpb.FollowResponse{}
			if proto.Unmarshal(b, p) != nil {
				return
			}
			fl := follower{sink: func(agent.Output) error { return nil }}
			if _, err := fl.take(p); err == nil && (fl.at > maxOutput || len(fl.stdout) > maxStdout) {
				t.Fatalf("accepted %d bytes of output, %d of stdout", fl.at, len(fl.stdout))
			}
			return
		case 3:
			p := &agentpb.Description{}
			if proto.Unmarshal(b, p) != nil {
				return
			}
			r := fromDescription(p)
			m, back, err = p, toDescription(r), checkDescription(r)
		case 4:
			p := &agentpb.StopRequest{}
			if proto.Unmarshal(b, p) != nil {
				return
			}
			r := fromStop(p)
			m, back, err = p, toStop(r), checkStop(r)
		case 5:
			p := &agentpb.GlobRequest{}
			if proto.Unmarshal(b, p) != nil {
				return
			}
			r := fromGlob(p)
			m, back, err = p, toGlob(r), checkGlob(r)
		}
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v (%v)", err, fault.Of(err))
			}
			return
		}
		m.ProtoReflect().SetUnknown(nil)
		if l := m.ProtoReflect(); l.Descriptor().Fields().ByName("lease") != nil {
			l.Mutable(l.Descriptor().Fields().ByName("lease")).Message().SetUnknown(nil)
		}
		if !proto.Equal(m, back) {
			t.Fatalf("%v came back as %v", m, back)
		}
	})
}

// An agent from before there were vitals says nothing of them; one of a later version may leave parts out.
func TestVitalsOfOtherVersions(t *testing.T) {
	now := timestamppb.Now()
	for _, tc := range []struct {
		sent *agentpb.Vitals
		want agent.Vitals
	}{
		{nil, agent.Vitals{}},
		{&agentpb.Vitals{Clock: now}, agent.Vitals{Clock: now.AsTime(), Disk: agent.Space{Free: -1, Total: -1}, Temp: agent.Space{Free: -1, Total: -1}}},
	} {
		m := New(raw(t, func(r grpc.ServiceRegistrar) { agentpb.RegisterMachineServer(r, &rogue{vitals: tc.sent}) }))
		_, _, v, err := m.Renew(t.Context(), nil, 0)
		if err != nil || v != tc.want {
			t.Errorf("of %v: %+v, %v", tc.sent, v, err)
		}
	}
}
