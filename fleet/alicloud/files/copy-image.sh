#!/usr/bin/env bash
# Carries an image from this machine's Docker daemon into the k3s of another, over SSH, to a host
# whose keys are known beforehand.
set -euo pipefail
umask 077
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
printf '%s' "$FLEET_KNOWN_HOSTS" >"$work/known_hosts"
options=(-o "UserKnownHostsFile=$work/known_hosts" -o StrictHostKeyChecking=yes -o BatchMode=yes
  -o ConnectTimeout=20)
if [ -n "${FLEET_LOGIN_KEY:-}" ]; then
  printf '%s\n' "$FLEET_LOGIN_KEY" >"$work/key"
  options+=(-i "$work/key" -o IdentitiesOnly=yes)
fi
docker save "$FLEET_IMAGE" | gzip -1 |
  ssh "${options[@]}" "root@$FLEET_HOST" 'gunzip | k3s ctr --namespace k8s.io images import -'
