#!/bin/sh
# Starts this machine's Outwork agent: fetches the binary when the controller has another than the one that is here, compares its
# SHA-256, and becomes the agent.
#
#   curl -fsS URL/agent.sh | sh -s -- --token owj_…          as a program of this shell
#   curl -fsS URL/agent.sh | OUTWORK_TOKEN=owj_… sh          the same, the token is in no process list
#
# All arguments are the agent's: see outwork-agent --help. OUTWORK_BIN is the folder of the binary, by default ~/.outwork/bin.
# "sh -s -- install --name a …" instead makes it a service of this machine.
set -eu

main() {
  url=${OUTWORK_URL:-@URL@}
  url=${url%/}
  node=@NODE@
  options=@OPTIONS@
  case "$(uname -s)" in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) os=$(uname -s | tr '[:upper:]' '[:lower:]') ;;
  esac
  case "$(uname -m)" in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
  esac
  dir=${OUTWORK_BIN:-${HOME:?HOME is not set: say where the agent is to be with OUTWORK_BIN}/.outwork/bin}
  file=$dir/outwork-agent
  mkdir -p "$dir"

  line=$(fetch "$url/agent/$os/$arch.sha256") || die "$url has no agent for $os/$arch"
  want=${line%% *}
  case $want in *[!0-9a-f]* | '') die "$url/agent/$os/$arch.sha256 is no digest: is this the address of an Outwork controller?" ;; esac
  if [ "$(digest "$file" 2>/dev/null)" != "$want" ]; then
    echo "fetching the agent for $os/$arch from $url" >&2
    new=$file.new.$$
    trap 'rm -f "$new"' EXIT
    fetch "$url/agent/$os/$arch" >"$new" || die "cannot fetch $url/agent/$os/$arch"
    got=$(digest "$new")
    [ "$got" = "$want" ] || die "what came from $url/agent/$os/$arch has the SHA-256 $got, expected $want: it is not started"
    chmod 755 "$new"
    mv -f "$new" "$file"
    trap - EXIT
  fi

  [ -z "$node" ] || : "${OUTWORK_NAME:=$node}"
  [ -z "${OUTWORK_NAME:-}" ] || export OUTWORK_NAME
  OUTWORK_URL=$url
  export OUTWORK_URL
  # The controller's own executable hands itself out where it has no small agent: its verb comes first.
  verb=
  "$file" --version >/dev/null 2>&1 || die "$file does not start on this machine"
  case "$("$file" --version 2>/dev/null)" in outwork\ version*) verb=agent ;; esac
  case ${1:-} in uninstall | start | stop | restart | status) options= ;; esac
  # shellcheck disable=SC2086 # options are words
  exec "$file" $verb "$@" $options
}

fetch() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSL --retry 3 --connect-timeout 20 "$1"
  elif command -v wget >/dev/null 2>&1; then
    wget -qO- "$1"
  else
    die "neither curl nor wget is here"
  fi
}

digest() {
  [ -f "$1" ] || return 1
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum <"$1" | cut -d' ' -f1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 <"$1" | cut -d' ' -f1
  else
    openssl dgst -sha256 -r <"$1" | cut -d' ' -f1
  fi
}

die() {
  echo "agent.sh: $*" >&2
  exit 1
}

main "$@" # all of it has arrived
