#!/usr/bin/env bash
# Mounts the data disk. Formats it only where the settings say that it was made together with this
# machine, and only after zeros were read at every place that would show data; in doubt it stops and
# writes nothing.
set -euo pipefail
root="${FLEET_ROOT:-}"
# Leave to format comes from the settings alone.
unset FLEET_DISK_MAY_FORMAT
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
again="then 'pulumi up' (or /usr/local/lib/opencode-fleet/bootstrap.sh)"
by_hand="run 'mkfs.ext4 -L fleet-data -m 1 $device', $again"
give_up="to give up what is on it, $by_hand"
repair="take a snapshot, run 'e2fsck $device', $again"

refuse() {
  echo "opencode-fleet: data disk $FLEET_DISK_SERIAL ($device) $1; not formatted: $2" >&2
  exit 1
}

# What /etc/fstab mounts at the data folder: this machine has had its disk already.
mounted_before() {
  local what where
  [ -f "$root/etc/fstab" ] || return 0
  while read -r what where _ || [ -n "$what" ]; do
    if [ "$where" = "$FLEET_DATA" ] && [ "${what#\#}" = "$what" ]; then
      echo "$what"
    fi
  done <"$root/etc/fstab"
}

# Prints "offset length" of every place to look at.
places() {
  local at block blocks base group edge=$((8 << 20)) look=65536
  {
    # Both ends: boot sectors, LVM, LUKS, RAID, ZFS, the partition table and its copy.
    echo "0 $edge"
    echo "$((size > edge ? size - edge : 0)) $edge"
    # Regular steps; the quarters are where XFS keeps its copies.
    blocks=$((size / 4096))
    for ((at = 0; at < 64; at++)); do
      block=$((blocks * at / 64))
      echo "$((block * 4096)) $look"
    done
    # Copies of Btrfs and OCFS2.
    for ((at = 1 << 20; at < size; at *= 2)); do
      echo "$at $look"
    done
    # ext4 keeps copies of its superblock in group 1 and in the groups that are powers of 3, 5, 7.
    # A group has as many blocks as one block has bits.
    for ((block = 1024; block <= 65536; block *= 2)); do
      for base in 3 5 7; do
        for ((group = 1; group * 8 * block * block < size; group *= base)); do
          echo "$((group * 8 * block * block)) $look"
        done
      done
    done
  } | sort -n -k 1,1 -k 2,2r | uniq
}

# Whether a copy of an ext4 superblock starts at this byte, or one block of 1 KiB after it.
is_ext4_copy() {
  local magic
  magic="$(dd if="$device" bs=4096 skip="$(($1 / 4096))" count=1 2>/dev/null |
    od -An -v -tx1 -w2 | sed -n '29p;541p' | tr -d ' ')"
  grep -qx 53ef <<<"$magic"
}

# Returns only when the disk reads as zeros everywhere it was looked at.
refuse_unless_empty() {
  local at length list seen="" ext4="" status
  # Not read from a pipe: a list that was cut off must end the script, not look like an empty disk.
  list="$(places)"
  while read -r at length; do
    status=0
    cmp -s -n "$((length < size - at ? length : size - at))" -i "$at:0" "$device" /dev/zero ||
      status=$?
    if [ "$status" -gt 1 ]; then
      refuse "cannot be read at byte $at" "look at the disk in the console, $again"
    elif [ "$status" -eq 1 ]; then
      seen="${seen:-$at}"
      if is_ext4_copy "$at"; then
        ext4="$at"
        break
      fi
    fi
  done <<<"$list"
  if [ -n "$ext4" ]; then
    refuse "has no file system that can be read, but a superblock of ext4 at byte $ext4" \
      "it is damaged: $repair; $give_up"
  elif [ -n "$seen" ]; then
    refuse "has no file system that is known, but data from byte $seen on" \
      "look at it with 'hexdump -C $device'; $give_up"
  fi
}

format() {
  local before
  before="$(mounted_before | head -n 1)"
  if ! size="$(blockdev --getsize64 "$device" 2>/dev/null)" || [ "$size" -eq 0 ]; then
    refuse "cannot be read: its size is unknown" "look at the disk in the console"
  fi
  refuse_unless_empty
  if [ -n "$before" ]; then
    refuse "is empty, but /etc/fstab mounts $before at $FLEET_DATA" \
      "if it was wiped, restore a snapshot; to begin anew, remove that line and $by_hand"
  elif [ "${FLEET_DISK_MAY_FORMAT:-}" != 1 ]; then
    refuse "is empty, but was not made with this machine (dataDisk.id, or a later generation)" \
      "if it held work, restore a snapshot; to begin anew, $by_hand"
  fi
  mkfs.ext4 -q -L fleet-data -m 1 "$device" </dev/null
}

# blkid leaves with 2 for an empty disk, but also for a damaged one, for raw data and for one that
# cannot be read.
status=0
content="$(blkid -p -o export "$device")" || status=$?
type="$(sed -n 's/^TYPE=//p' <<<"$content")"
table="$(sed -n 's/^PTTYPE=//p' <<<"$content")"
if [ "$status" -eq 2 ] && [ -z "$content" ]; then
  format
elif [ "$status" -eq 8 ]; then
  refuse "holds several things at once" "'wipefs $device' lists them; $give_up"
elif [ "$status" -ne 0 ]; then
  refuse "cannot be looked at: blkid ended with $status" "run 'blkid -p $device'"
elif [ "$type" != ext4 ]; then
  refuse "holds ${type:-a partition table ($table)}, not ext4" "attach another disk; $give_up"
fi

uuid="$(blkid -p -o value -s UUID "$device")"
known="$(mounted_before)"
for before in $known; do
  if [ "$before" != "UUID=$uuid" ]; then
    refuse "holds ext4 with UUID=$uuid, but /etc/fstab mounts $before at $FLEET_DATA" \
      "attach the disk that was there, or remove that line from /etc/fstab"
  fi
done
if [ -z "$known" ]; then
  echo "UUID=$uuid $FLEET_DATA ext4 defaults,nofail,x-systemd.device-timeout=120 0 2" \
    >>"$root/etc/fstab"
  systemctl daemon-reload
fi
if ! mountpoint -q "$root$FLEET_DATA"; then
  mount "$root$FLEET_DATA" ||
    refuse "holds ext4 that cannot be mounted" "$repair"
fi
# After the disk has grown.
resize2fs "$device"
