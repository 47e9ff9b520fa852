#!/bin/sh
# Cyrus httpd in the foreground: cyrus.sh STATE_DIR HTTP_PORT IMAP_PORT. Users alice and bob, password secret.
# The IMAP port is used once, while starting: a first login makes a person's mailbox, and only then are there calendars.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/watch.sh"
state=$1 http=$2 imap=$3
mkdir -p "$state/conf" "$state/spool" "$state/run/proc" "$state/run/lock" "$state/run/socket"

cat > "$state/imapd.conf" <<CONF
configdirectory: $state/conf
proc_path: $state/run/proc
mboxname_lockpath: $state/run/lock
idlesocket: $state/run/socket/idle
notifysocket: $state/run/socket/notify
lmtpsocket: $state/run/socket/lmtp
defaultpartition: default
partition-default: $state/spool
zoneinfo_db_path: $state/conf/zoneinfo.db
syslog_prefix: lunation-spec
servername: localhost
altnamespace: no
unixhierarchysep: yes
virtdomains: off
admins: cyrus
autocreate_quota: 0
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $state/sasldb2
sasl_mech_list: PLAIN LOGIN
httpmodules: caldav freebusy webdav
httpallowcompress: 0
caldav_allowscheduling: on
caldav_allowcalendaradmin: on
calendar_user_address_set: example.org
CONF

cat > "$state/cyrus.conf" <<CONF
START {
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -C $state/imapd.conf -r"
}
SERVICES {
  http cmd="httpd -C $state/imapd.conf" listen="127.0.0.1:$http" prefork=1 maxchild=10
  imap cmd="imapd -C $state/imapd.conf" listen="127.0.0.1:$imap" prefork=0 maxchild=4
  notify cmd="notifyd -C $state/imapd.conf" listen="$state/run/socket/notify" proto="udp" prefork=1
}
EVENTS {
  checkpoint cmd="/usr/sbin/cyrus ctl_cyrusdb -C $state/imapd.conf -c" period=30
}
CONF

for name in cyrus alice bob; do
  printf secret | saslpasswd2 -p -c -f "$state/sasldb2" -u localhost "$name"
done
if [ "$(id -u)" = 0 ]; then
  chmod 755 "$state"
  chown -R cyrus:mail "$state"
else
  CYRUS_USER=$(id -un)
  export CYRUS_USER
fi

# A group of its own, so that one signal reaches the master and every service it forked.
setsid /usr/lib/cyrus/bin/master -C "$state/imapd.conf" -M "$state/cyrus.conf" -p "$state/run/master.pid" &
master=$!
stop() {
  trap - TERM INT EXIT
  kill -TERM "-$master" 2> /dev/null || true
}
trap 'stop; wait "$master" 2> /dev/null; exit 0' TERM INT
trap stop EXIT
# Whoever kills this script outright leaves the services to this one.
setsid sh -c "while kill -0 $$ 2> /dev/null; do sleep 1; done; kill -TERM -$master 2> /dev/null" > /dev/null 2>&1 &

for name in alice bob; do
  tries=0
  until curl -s -o /dev/null -m 5 -u "$name:secret" -X NOOP "imap://127.0.0.1:$imap/"; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { echo "cyrus.sh: no answer on port $imap" >&2; exit 1; }
    sleep 0.2
  done
  # The first DAV request of a person makes Default, Inbox and Outbox.
  curl -s -o /dev/null -m 10 -u "$name:secret" -X PROPFIND -H 'Depth: 1' "http://127.0.0.1:$http/dav/calendars/user/$name/"
done
: > "$state/ready"
wait "$master"
