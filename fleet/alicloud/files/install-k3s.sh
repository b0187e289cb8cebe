#!/usr/bin/env bash
# Installs the pinned k3s binary, checked against its checksum, and starts it. Restarts it only when
# the binary or its settings changed; containers keep running through that.
set -euo pipefail
root="${FLEET_ROOT:-}"
# shellcheck source=/dev/null
. "$root/etc/opencode-fleet/bootstrap.env"
state="$root/var/lib/opencode-fleet"
binary="$root/usr/local/bin/k3s"

is_wanted() {
  [ -f "$1" ] && echo "$FLEET_K3S_SHA256  $1" | sha256sum --check --status
}

download() {
  local url partial="$binary.part"
  for url in $FLEET_K3S_URLS; do
    echo "opencode-fleet: downloading $url"
    if curl --fail --silent --show-error --location --proto '=https' --proto-redir '=https' \
      --retry 5 --retry-delay 5 --connect-timeout 20 --output "$partial" "$url"; then
      if is_wanted "$partial"; then
        chmod 0755 "$partial"
        mv "$partial" "$binary"
        return 0
      fi
      echo "opencode-fleet: $url is not the pinned k3s ($FLEET_K3S_SHA256)" >&2
    fi
    rm -f "$partial"
  done
  echo "opencode-fleet: no source has k3s $FLEET_K3S_VERSION" >&2
  return 1
}

mkdir -p "$root/usr/local/bin" "$state" "$root/var/log/opencode-fleet"
chmod 0700 "$root/var/log/opencode-fleet"
is_wanted "$binary" || download
for name in kubectl crictl ctr; do
  ln -sfn k3s "$root/usr/local/bin/$name"
done

# k3s applies what lies here, at start and whenever it changes.
manifests="$root$FLEET_DATA/k3s/server/manifests"
install -d -m 0700 "$manifests"
# Release 0.1.0 bound the administrators here, and k3s would bind again who has been revoked.
rm -f "$manifests/fleet-access.yaml"
for manifest in "$root"/etc/opencode-fleet/manifests/*.yaml; do
  install -m 0600 "$manifest" "$manifests/fleet-$(basename "$manifest")"
done

settings=("$root/etc/rancher/k3s/config.yaml" "$root/etc/systemd/system/k3s.service"
  "$root/etc/opencode-fleet/audit-policy.yaml")
if [ -f "$root/etc/rancher/k3s/registries.yaml" ]; then
  settings+=("$root/etc/rancher/k3s/registries.yaml")
fi
wanted="$(cat "${settings[@]}" | sha256sum | cut -d ' ' -f 1) $FLEET_K3S_SHA256"

systemctl daemon-reload
systemctl enable k3s.service
if [ "$(cat "$state/k3s.applied" 2>/dev/null)" = "$wanted" ]; then
  systemctl start k3s.service
else
  systemctl restart k3s.service
fi

# Release 0.1.0 had k3s' own provisioner behind this class, and a class cannot be changed. The claims
# that it made keep their volumes.
replace_class() {
  local file="$manifests/fleet-storage-class.yaml" has
  has="$("$binary" kubectl get storageclass fleet-retain -o 'jsonpath={.provisioner}' 2>/dev/null || true)"
  if [ "$has" = rancher.io/local-path ]; then
    "$binary" kubectl replace --force -f "$file"
  fi
}

for _ in $(seq "${FLEET_READY_WAIT:-150}"); do
  if "$binary" kubectl get --raw=/readyz >/dev/null 2>&1; then
    replace_class
    echo "$wanted" >"$state/k3s.applied"
    exit 0
  fi
  sleep 2
done
echo "opencode-fleet: k3s does not get ready; see: journalctl -u k3s" >&2
exit 1
