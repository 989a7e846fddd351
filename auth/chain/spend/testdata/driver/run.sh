#!/bin/sh
# Prints random sequences of operations on stores as the reference's driver builds them, one JSON
# document for each operation, in the shape of the cases of chain-spend-*.json.
#
#	run.sh DIRECTORY SEQUENCES SEED
#
# The driver is the npm package @dignetwork/datalayer-driver 0.1.29. It is installed into DIRECTORY,
# outside of any checkout, the first time. It needs node and npm.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
package=@dignetwork/datalayer-driver
mkdir -p "$1"
dir=$(cd "$1" && pwd)
if [ ! -d "$dir/node_modules/$package" ]; then
	npm install --silent --no-audit --no-fund --prefix "$dir" "$package@0.1.29" >&2
fi
exec node "$here/spends.mjs" "$dir" "$2" "$3"
