#!/bin/sh
# Radicale in the foreground: radicale.sh STATE_DIR PORT. Users alice and bob, password secret; no calendar until one is made.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/watch.sh"
state=$1 port=$2
mkdir -p "$state/collections"
printf 'alice:secret\nbob:secret\n' > "$state/htpasswd"
cat > "$state/config" <<CONF
[server]
hosts = 127.0.0.1:$port
[auth]
type = htpasswd
htpasswd_filename = $state/htpasswd
htpasswd_encryption = plain
# The pause after a wrong password defends real accounts and only slows the specs.
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = $state/collections
[logging]
level = error
CONF
exec radicale --config "$state/config"
