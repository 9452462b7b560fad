#!/bin/sh
# User data of a web server: mount the volume and start what serves.
set -eu

blkid /dev/vdb >/dev/null 2>&1 || mkfs.ext4 -q /dev/vdb
mkdir -p /srv/web
mount /dev/vdb /srv/web
systemctl enable --now nginx
