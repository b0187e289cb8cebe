#!/usr/bin/env bash
# Mounts the data disk. Formats it only when it holds nothing at all; anything unknown on it stops
# the bootstrap instead.
set -euo pipefail
root="${FLEET_ROOT:-}"
# shellcheck source=/dev/null
. "$root/etc/opencode-fleet/bootstrap.env"
mkdir -p "$root$FLEET_DATA"
if [ -z "${FLEET_DISK_SERIAL:-}" ]; then
  echo "opencode-fleet: no data disk, $FLEET_DATA is on the boot disk"
  exit 0
fi

device=""
# The disk is attached after the machine has started.
for _ in $(seq "${FLEET_DISK_WAIT:-300}"); do
  for name in virtio- nvme-Alibaba_Cloud_Elastic_Block_Storage_; do
    if [ -e "$root/dev/disk/by-id/$name$FLEET_DISK_SERIAL" ]; then
      device="$root/dev/disk/by-id/$name$FLEET_DISK_SERIAL"
      break 2
    fi
  done
  sleep 2
done
if [ -z "$device" ]; then
  echo "opencode-fleet: data disk $FLEET_DISK_SERIAL is not attached" >&2
  exit 1
fi

# blkid leaves with 2 when it finds neither a filesystem nor a partition table.
found=0
content="$(blkid -p -o export "$device")" || found=$?
if [ "$found" -eq 2 ] && [ -z "$content" ]; then
  mkfs.ext4 -q -L fleet-data -m 1 "$device"
elif ! grep -qx 'TYPE=ext4' <<<"$content"; then
  echo "opencode-fleet: data disk $FLEET_DISK_SERIAL holds something unknown, left alone:" >&2
  echo "$content" >&2
  exit 1
fi

uuid="$(blkid -p -o value -s UUID "$device")"
if ! grep -q "^UUID=$uuid " "$root/etc/fstab"; then
  echo "UUID=$uuid $FLEET_DATA ext4 defaults,nofail,x-systemd.device-timeout=120 0 2" \
    >>"$root/etc/fstab"
  systemctl daemon-reload
fi
if ! mountpoint -q "$root$FLEET_DATA"; then
  mount "$root$FLEET_DATA"
fi
# After the disk has grown.
resize2fs "$device"
