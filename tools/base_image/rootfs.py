"""The stand-in's root filesystem: Debian minbase, slimmed, with Node and npm."""

import shutil
from pathlib import Path

from tools.base_image.commands import BaseImageError, run
from tools.base_image.machine import BUNDLE
from tools.base_image.packages import fetch, unpack
from tools.base_image.recipe import Recipe

# What debian's slim images leave out, told to dpkg too so that later packages do not bring it back.
_EXCLUDES = """\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
"""
_DROPPED = ("usr/share/man", "usr/share/groff", "usr/share/info", "usr/share/locale")
_EMPTIED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "tmp")
_NO_CACHES = """\
APT::Install-Recommends "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
"""
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _mirror(recipe: Recipe) -> list[str]:
    uris = [line.split()[0] for line in recipe.sources if line.split()[1] == recipe.suite]
    return uris[:1]


def bootstrap(recipe: Recipe, root: Path) -> None:
    """Lay Debian's minimal system into `root`, with this machine's mirrors as apt sources."""
    arguments = ["--variant=minbase", recipe.suite, str(root), *_mirror(recipe)]
    run("debootstrap", ["debootstrap", *arguments])
    if recipe.sources:
        lines = [f"deb [signed-by={_KEYRING}] {source} main" for source in recipe.sources]
        (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def slim(root: Path) -> None:
    """Drop documentation, translations, caches and logs, and keep them out of later installs."""
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(_EXCLUDES, encoding="utf-8")
    (root / "etc/apt/apt.conf.d/slim").write_text(_NO_CACHES, encoding="utf-8")
    for name in _DROPPED:
        if (root / name).is_dir():
            _empty(root / name)
    for path in (root / "usr/share/doc").rglob("*"):
        if path.name != "copyright" and not path.is_dir():
            path.unlink()
    for name in _EMPTIED:
        _empty(root / name)
    # apt refuses to work without these two.
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    # A name server of this machine would be a wrong one elsewhere; the daemon mounts its own.
    for name in ("etc/resolv.conf", "etc/hostname", "etc/machine-id"):
        (root / name).write_text("", encoding="utf-8")


def add_node(recipe: Recipe, root: Path, downloads: Path) -> None:
    """Put Node and npm below /usr/local, where the public image has them."""
    unpack(fetch(recipe.node, downloads), downloads / "node")
    binary = root / "usr/local/bin/node"
    shutil.copyfile(downloads / "node/bin/node", binary)
    binary.chmod(0o755)
    (root / "usr/local/bin/nodejs").symlink_to("node")
    modules = root / "usr/local/lib/node_modules"
    modules.mkdir(parents=True)
    unpack(fetch(recipe.npm, downloads), downloads / "npm")
    run("install npm", ["cp", "-r", str(downloads / "npm"), str(modules / "npm")])
    for name in ("npm", "npx"):
        script = f"../lib/node_modules/npm/bin/{name}-cli.js"
        (modules / f"npm/bin/{name}-cli.js").chmod(0o755)
        (root / "usr/local/bin" / name).symlink_to(script)
    version = run("check node", ["chroot", str(root), "/usr/local/bin/node", "--version"]).strip()
    if version != f"v{recipe.node.version}":
        message = f"check node: it says {version}, expected v{recipe.node.version}"
        raise BaseImageError(message)


def add_certificates(recipe: Recipe, root: Path) -> None:
    """Make the machine's own certificates known before and after ca-certificates comes in."""
    if not recipe.certificates:
        return
    folder = root / "usr/local/share/ca-certificates"
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(recipe.certificates, start=1):
        (folder / f"machine-{number}.crt").write_text(f"{text}\n", encoding="ascii")
    bundle = root / str(BUNDLE).lstrip("/")
    bundle.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(BUNDLE, bundle)


def build(recipe: Recipe, work: Path) -> Path:
    """Make the whole root filesystem below `work` and return its path."""
    root = work / "root"
    downloads = work / "downloads"
    downloads.mkdir()
    bootstrap(recipe, root)
    slim(root)
    add_node(recipe, root, downloads)
    add_certificates(recipe, root)
    return root
