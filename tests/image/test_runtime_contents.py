"""What is in the image, and what is not."""

import json

import pytest

from tests.image.container import ROOT, Runtime, docker

pytestmark = pytest.mark.image

SIZE_BOUND = 700_000_000


def test_the_image_keeps_its_size_bound(image: str) -> None:
    size = int(docker("image", "inspect", "--format={{.Size}}", image).stdout)
    assert size <= SIZE_BOUND


def test_the_configuration_names_user_entrypoint_port_and_labels(image: str) -> None:
    config = json.loads(docker("image", "inspect", "--format={{json .Config}}", image).stdout)
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["/usr/bin/tini", "-g", "--", "/usr/local/bin/fleet-start"]
    assert not config.get("Cmd")
    assert list(config["ExposedPorts"]) == ["4096/tcp"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.18.33"
    assert labels["org.opencontainers.image.base.name"]
    assert not [entry for entry in config["Env"] if "PASSWORD" in entry or "TOKEN" in entry]


def test_every_tool_an_agent_needs_runs_as_the_user(fresh: Runtime) -> None:
    done = fresh.shell(
        "opencode --version; node --version; npm --version; python3 --version; git --version;"
        "gh --version; curl --version; bash --version; ssh -V; rg --version; tini --version;"
        "python3 -m venv /tmp/v; /tmp/v/bin/pip --version; pip --version; nano --version;"
        "unzip -v; xz --version; jq --version; less --version; file --version; make --version;"
        "vi --version; python --version"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1.18.33\nv22.")


def test_git_works_in_app_itself_and_prints_names_of_any_script(fresh: Runtime) -> None:
    assert fresh.init().returncode == 0
    # The root folder of a volume belongs to root, whoever may write in it.
    as_root = ["--user=0", "--network=none", f"--mount=type=volume,src={fresh.name}-app,dst=/app"]
    script = "chown 0:10001 /app; chmod 2775 /app"
    docker("run", "--rm", *as_root, "--entrypoint=/bin/bash", fresh.image, "-c", script)
    git = "git init -q; touch 说明.md; git status --short 说明.md"
    done = fresh.shell(f"cd /app; stat -c %u .; {git}")
    assert (done.stdout, done.stderr) == ("0\n?? 说明.md\n", "")


def test_a_command_is_run_as_it_is(image: str) -> None:
    done = docker("run", "--rm", "--network=none", image, "node", "--version")
    assert done.stdout.startswith("v22.")


def test_node_and_python_find_a_private_authority_of_the_base(fresh: Runtime) -> None:
    done = fresh.shell("echo ${NODE_EXTRA_CA_CERTS}; grep -c BEGIN ${NODE_EXTRA_CA_CERTS}")
    assert done.stdout.startswith("/etc/ssl/certs/ca-certificates.crt\n")
    assert int(done.stdout.split()[1]) > 100


def test_nothing_of_the_build_is_left(fresh: Runtime) -> None:
    done = fresh.shell(
        "find /root /app /data /var/lib/apt/lists /var/cache/apt -mindepth 1 2>/dev/null"
        " | grep -v -e /root/.bashrc -e /root/.profile -e /partial || true;"
        "find / -xdev -perm /6000 -type f 2>/dev/null;"
        "find / -xdev \\( -name '.env' -o -name '*.pem' -path '/root/*' -o -name id_rsa \\)"
        " 2>/dev/null || true"
    )
    assert done.stdout == ""


def test_layers_hold_no_temporary_files(image: str) -> None:
    done = docker("run", "--rm", "--network=none", "--entrypoint=ls", image, "-A", "/tmp")  # noqa: S108
    assert done.stdout == ""


def test_an_unknown_toolchain_is_refused_by_name(image: str) -> None:
    base = docker(
        "image",
        "inspect",
        '--format={{index .Config.Labels "org.opencontainers.image.base.name"}}',
        image,
    ).stdout.strip()
    done = docker(
        "build",
        "--network=none",
        f"--build-arg=BASE_IMAGE={base}",
        "--build-arg=EXTRA_TOOLCHAINS=rust",
        str(ROOT / "image"),
        check=False,
    )
    assert done.returncode != 0
    assert (
        "EXTRA_TOOLCHAINS: rust: must be words out of: go build-essential"
        in done.stdout + done.stderr
    )


def test_personal_settings_of_the_tools_go_to_the_users_volume(fresh: Runtime) -> None:
    assert fresh.init().returncode == 0
    fresh.start()
    fresh.run("git config --global user.name Alice; echo k > ~/.ssh/id_test; chmod 644 ~/.ssh/*")
    assert fresh.run("cat /data/git/config").endswith("name = Alice\n")
    docker("restart", "--time=5", fresh.name)
    fresh.wait()
    assert fresh.run("git config --global user.name") == "Alice\n"
    # ssh refuses keys that others may read.
    assert fresh.run("stat -c %a ~/.ssh/ ~/.ssh/id_test") == "700\n600\n"


def test_pip_and_npm_install_for_the_user_and_on_the_path(fresh: Runtime) -> None:
    done = fresh.shell(
        "mkdir /tmp/p /tmp/n; cd /tmp/p;"
        'printf \'from setuptools import setup\\nsetup(name="one", py_modules=["one"],'
        ' entry_points={"console_scripts": ["one=one:main"]})\\n\' > setup.py;'
        "printf 'def main():\\n    print(\"from pip\")\\n' > one.py;"
        "pip install -q --no-build-isolation . >&2; one;"
        "cd /tmp/n; printf '#!/bin/sh\\necho from npm\\n' > two; chmod +x two;"
        'echo \'{"name": "two", "version": "1.0.0", "bin": "two"}\' > package.json;'
        "npm install -g /tmp/n >&2; two; command -v one two"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:4] == [
        "from pip",
        "from npm",
        "/data/python/bin/one",
        "/data/npm/bin/two",
    ]
