#!/usr/bin/env bash
# What `make demo` shows: from nothing to trained models. Everything it makes is in .demo/: a second call, in a workspace
# of its own, finds what the first one built there and takes seconds. Whatever happens, it leaves no process behind.
set -euo pipefail
cd "$(dirname "$0")/.."

export PATH="$PWD/.venv/bin:$PATH" KAOS_HOME="$PWD/.demo/home"
unset KAOS_ENDPOINT KAOS_TOKEN
mkdir -p .demo
cd .demo

show() {
  printf '\n$ %s\n' "$*"
  "$@"
}

kaos down > /dev/null # left by a demo that was killed
trap 'show kaos down' EXIT
show kaos up --detach

show kaos workspace create -n "mnist-$(date +%m%d-%H%M%S)"
[ -d mnist ] || show kaos template get --name mnist
show kaos train deploy -s mnist/model-train -d mnist/data --follow
show kaos train deploy -h mnist/hyperopt/params.json --follow
show kaos train list
show kaos train info -s accuracy_validation
show kaos train logs
show kaos train get
