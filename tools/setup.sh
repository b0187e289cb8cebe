#!/usr/bin/env bash
# Puts in place what a checkout needs: uv, the locked Python environment, and Debian packages named
# as arguments. Safe to repeat, and quick when nothing is missing.
set -euo pipefail

UV_VERSION=0.13.8
cache="${XDG_CACHE_HOME:-$HOME/.cache}/opencode-fleet"

install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if [[ $EUID -ne 0 ]]; then
    echo "setup: missing Debian packages: ${missing[*]}: install them as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}" >&2
  if [[ " ${missing[*]} " == *" cloud-init "* ]]; then
    # Only its schema checker is wanted: it must never configure this machine at the next boot.
    mkdir -p /etc/cloud
    touch /etc/cloud/cloud-init.disabled
  fi
  if [[ " ${missing[*]} " == *" nginx "* && ! -e /etc/systemd/system/nginx.service ]]; then
    # Only the program is wanted: as a service it would take this machine's port 80.
    mkdir -p /etc/systemd/system
    ln -s /dev/null /etc/systemd/system/nginx.service
  fi
  {
    apt-get -q -o DPkg::Lock::Timeout=300 update
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
      install --yes --no-install-recommends "${missing[@]}"
  } >"$cache/apt.log" 2>&1 || {
    tail -n 15 "$cache/apt.log" >&2
    echo "setup: apt-get: the packages ${missing[*]} could not be installed: see above, run this again" >&2
    exit 1
  }
}

install_uv() {
  command -v uv >/dev/null && return 0
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install_packages python3-venv; fi
  # Where a shell finds it: root's PATH seldom has ~/.local/bin.
  local folder="$HOME/.local/bin"
  if [[ -w /usr/local/bin ]]; then folder=/usr/local/bin; fi
  echo "setup: installing uv $UV_VERSION (link in $folder)" >&2
  python3 -m venv "$cache/uv"
  "$cache/uv/bin/pip" install --quiet --disable-pip-version-check "uv==$UV_VERSION"
  mkdir -p "$folder"
  ln -sfn "$cache/uv/bin/uv" "$folder/uv"
  export PATH="$folder:$PATH"
}

mkdir -p "$cache"
if command -v dpkg-query >/dev/null; then install_packages "$@"; fi
install_uv
uv sync --quiet --locked
