#!/bin/sh
# Generates the Go code of the .proto files below this folder. Run it from anywhere. With --check it changes nothing and fails when
# the committed code is not what would be generated: CI runs that.
#
# Needs protoc (Debian: protobuf-compiler) and, on PATH or in GOPATH/bin, these two:
#   go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
#   go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
set -eu
cd "$(dirname "$0")"
PATH="$PATH:$(go env GOPATH)/bin"
export PATH

want_go='protoc-gen-go v1.36.12'
want_grpc='protoc-gen-go-grpc 1.6.2'
for want in "$want_go" "$want_grpc"; do
	have=$("${want%% *}" --version)
	if [ "$have" != "$want" ]; then
		echo "generate.sh: found \"$have\", expected \"$want\"; see the head of this file" >&2
		exit 1
	fi
done

to=../..
if [ "${1:-}" = --check ]; then
	to=$(mktemp -d)
	trap 'rm -rf "$to"' EXIT
fi
module=github.com/outwork-build/outwork
find . -name '*.proto' | LC_ALL=C sort | xargs protoc -I . \
	--go_out="$to" --go_opt=module=$module \
	--go-grpc_out="$to" --go-grpc_opt=module=$module

# Which protoc is installed depends on the machine and says nothing of the code.
find "$to/api/agentpb" -name '*.pb.go' -exec sed -i -E 's/^(\/\/ (- )?[[:blank:]]*protoc +)v[0-9.]+$/\1(any)/' {} +

if [ "$to" != ../.. ] && ! diff -r -x doc.go ../agentpb "$to/api/agentpb"; then
	echo "generate.sh: the committed code is not what the .proto files say; run api/proto/generate.sh and commit" >&2
	exit 1
fi
