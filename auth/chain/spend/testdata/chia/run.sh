#!/bin/sh
# Checks bundles by Chia's own consensus: see run.py.
#
#	run.sh DIRECTORY CHALLENGE
#
# The Python package chia_rs 0.53.0 is installed into DIRECTORY, outside of any checkout, the first
# time. It needs python3 with venv and pip.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -x "$1/bin/python" ] || ! "$1/bin/python" -c 'import chia_rs' 2>/dev/null; then
	python3 -m venv "$1" >&2
	"$1/bin/pip" install --quiet chia_rs==0.53.0 >&2
fi
exec "$1/bin/python" "$here/run.py" "$2"
