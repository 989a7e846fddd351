#!/bin/sh
# Starts a simulator of Chia's full node, with its real JSON RPC over mutual TLS, or stops it.
#
#	run.sh start DIRECTORY    prints the Chia directory and the port of the RPC, a line each
#	run.sh stop DIRECTORY
#
# The simulator is part of the PyPI package chia-blockchain 2.7.5. It is installed into DIRECTORY, outside of any
# checkout, the first time, and makes its plots then: some minutes. It needs python3 with venv. Its home is in
# DIRECTORY too, and its key is a well-known one: nothing there is worth anything. The network is simulator0.
set -eu
mkdir -p "$2"
dir=$(cd "$2" && pwd)
venv=$dir/venv
if [ ! -x "$venv/bin/chia" ]; then
	python3 -m venv "$venv" >&2
	"$venv/bin/pip" install --quiet chia-blockchain==2.7.5 >&2
fi
export HOME="$dir/home" PATH="$venv/bin:$PATH"
mkdir -p "$HOME"
cd "$dir"
root=$HOME/.chia/simulator/main
case $1 in
start)
	if [ ! -f "$root/config/config.yaml" ]; then
		word=abandon
		words="$word $word $word $word $word $word $word $word $word $word $word $word"
		words="$words $word $word $word $word $word $word $word $word $word $word $word art"
		chia dev sim create --mnemonic "$words" --auto-farm false </dev/null >"$dir/create.log" 2>&1 || {
			tail -n 20 "$dir/create.log" >&2
			exit 1
		}
	else
		chia dev sim start </dev/null >"$dir/start.log" 2>&1 || {
			tail -n 20 "$dir/start.log" >&2
			exit 1
		}
	fi
	echo "$root"
	awk '/^[a-z_]+:/ { section = $1 } section == "full_node:" && $1 == "rpc_port:" { print $2; exit }' "$root/config/config.yaml"
	;;
stop)
	chia dev sim stop --daemon </dev/null >&2
	;;
esac
