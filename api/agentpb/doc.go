// Package agentpb is the generated Go of outwork.agent.v1, the protocol between the controller and its agents.
//
// The text is in api/proto/outwork/agent/v1/agent.proto; api/proto/generate.sh makes it anew. agent/remote turns its
// messages into those of package agent and back. Messages may be read concurrently.
package agentpb
