#!/usr/bin/env bash
# Brings the machine to the wanted state; runs at first boot and again whenever settings change.
# Leaves /var/lib/opencode-fleet/ready, or failed with the step that did not work.
set -euo pipefail
root="${FLEET_ROOT:-}"
scripts="$root/usr/local/lib/opencode-fleet"
state="$root/var/lib/opencode-fleet"
mkdir -p "$state"
rm -f "$state/ready" "$state/failed"

step="swap"
finish() {
  local status=$?
  if [ "$status" -ne 0 ]; then
    echo "$step" >"$state/failed"
    echo "opencode-fleet: step '$step' failed with status $status" >&2
  fi
}
trap finish EXIT

# The kubelet's limits mean nothing while memory can be swapped out.
swapoff -a
if [ -f "$root/etc/fstab" ]; then
  sed -i -E 's/^([^#].*[[:space:]]swap[[:space:]].*)$/# \1/' "$root/etc/fstab"
fi

step="kernel settings"
modprobe -a overlay br_netfilter
sysctl --system >/dev/null

step="SSH settings"
# Checked first: a broken file would lock everybody out.
if sshd -t; then
  systemctl reload ssh || systemctl reload sshd
fi

step="host firewall"
systemctl daemon-reload
systemctl enable opencode-fleet-firewall.service
systemctl restart opencode-fleet-firewall.service

step="data disk"
"$scripts/prepare-disk.sh"

step="volumes"
systemctl daemon-reload
systemctl enable opencode-fleet-mounts.service opencode-fleet-volumes.service
systemctl restart opencode-fleet-mounts.service

step="k3s"
"$scripts/install-k3s.sh"
systemctl restart opencode-fleet-volumes.service
systemctl enable --now opencode-fleet-certificates.timer

step="done"
date -u +%Y-%m-%dT%H:%M:%SZ >"$state/ready"
echo "opencode-fleet: ready"
