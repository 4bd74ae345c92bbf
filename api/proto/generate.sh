#!/bin/sh
# Generates the Go code of the .proto files below this folder. Run it from anywhere; CI runs it and compares.
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

module=github.com/outwork-build/outwork
find . -name '*.proto' | LC_ALL=C sort | xargs protoc -I . \
	--go_out=../.. --go_opt=module=$module \
	--go-grpc_out=../.. --go-grpc_opt=module=$module

# Which protoc is installed depends on the machine and says nothing of the code.
find ../agentpb -name '*.pb.go' -exec sed -i -E 's/^(\/\/ (- )?[[:blank:]]*protoc +)v[0-9.]+$/\1(any)/' {} +
