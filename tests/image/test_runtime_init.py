"""fleet-init: what it lays, what it never touches, and how it refuses a volume it cannot use."""

import subprocess

import pytest

from tests.image.container import Runtime, docker

pytestmark = pytest.mark.image

# Not /app itself: the test whether it is writable changes its time.
STATE = "cd /app && find . -mindepth 1 -printf '%p %s %T@ %m %U:%G\\n' | sort"


def test_it_lays_skeleton_mount_points_and_data_folder(fresh: Runtime) -> None:
    done = fresh.init()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    listing = fresh.shell("cd /app && find . | sort; find /data | sort").stdout.splitlines()
    for folder in ("agents", "commands", "modes", "plugins", "skills", "tools", "themes"):
        assert f"./.opencode/{folder}" in listing
    for path in (
        "./AGENTS.md",
        "./.opencode/opencode.json",
        "./.opencode/node_modules",
        "./.opencode/package-lock.json",
        "./coding/AGENTS.md",
        "./coding/.opencode",
        "./research/AGENTS.md",
        "/data/opencode",
    ):
        assert path in listing, path
    assert fresh.shell("stat -c %s /app/coding/AGENTS.md").stdout == "0\n"
    assert fresh.shell("find /app /data ! -user 10001").stdout == ""


def test_a_second_run_changes_nothing(fresh: Runtime) -> None:
    fresh.init()
    before = fresh.shell(STATE).stdout
    done = fresh.shell("export FLEET_SCENES='coding research'; fleet-init")
    assert (done.returncode, done.stderr) == (0, "")
    assert fresh.shell(STATE).stdout == before


def test_what_a_user_wrote_or_deleted_stays_so(fresh: Runtime) -> None:
    assert fresh.shell("mkdir /app/.opencode; echo mine > /app/AGENTS.md").returncode == 0
    fresh.init()
    assert fresh.shell("cat /app/AGENTS.md").stdout == "mine\n"
    fresh.shell(
        "rm -r /app/.opencode/commands /app/.opencode/tools/README.md;"
        'echo \'{"theme": "x"}\' > /app/.opencode/opencode.json'
    )
    before = fresh.shell(STATE).stdout
    assert fresh.init().returncode == 0
    assert fresh.shell(STATE).stdout == before
    fresh.shell("rm -r /app/.opencode")
    assert fresh.init().returncode == 0
    assert fresh.shell("ls -d /app/.opencode").returncode != 0


def test_a_users_own_packages_are_not_taken_for_stubs(fresh: Runtime) -> None:
    fresh.init()
    own = '{"dependencies": {"left-pad": "1.3.0"}}'
    fresh.shell(f"echo '{own}' > /app/.opencode/package.json")
    before = fresh.shell(STATE).stdout
    assert fresh.init().returncode == 0
    assert fresh.shell(STATE).stdout == before


def test_a_stub_of_another_release_is_brought_up_to_date(fresh: Runtime) -> None:
    fresh.init()
    fresh.shell("sed -i 's/1.18.33/1.17.0/' /app/.opencode/package*.json; rmdir /app/.opencode/n*")
    assert fresh.init().returncode == 0
    text = fresh.shell("cd /app/.opencode; cat package.json package-lock.json; ls -d n*").stdout
    assert text.count("1.18.33") == 2
    assert text.endswith("node_modules\n")


def test_a_skeleton_laid_half_is_completed(fresh: Runtime) -> None:
    fresh.init()
    fresh.shell(
        "cd /app; head -n 3 .opencode-fleet > r; cat r > .opencode-fleet; rm r;"
        "rm -r .opencode/skills"
    )
    assert fresh.init().returncode == 0
    assert fresh.shell("cat /app/.opencode/skills/README.md").stdout


def test_a_scene_can_come_later_and_none_is_fine(fresh: Runtime) -> None:
    assert fresh.init("").returncode == 0
    assert fresh.shell("ls -d /app/coding").returncode != 0
    assert fresh.init("coding").returncode == 0
    fresh.shell("echo work > /app/coding/file")
    assert fresh.init("research").returncode == 0
    assert fresh.shell("cat /app/coding/file").stdout == "work\n"


def test_it_works_while_scenes_are_mounted(fresh: Runtime) -> None:
    fresh.init()
    done = fresh.shell("fleet-init", "--env=FLEET_SCENES=coding research", *fresh.mounts)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_scene_folder_that_root_made_is_named(fresh: Runtime) -> None:
    # Mounted before fleet-init ever ran, the container runtime makes the folder, as root.
    done = fresh.shell("fleet-init", "--env=FLEET_SCENES=coding research", *fresh.mounts)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("fleet-init: /app/coding: not writable for uid 10001: ")


@pytest.mark.parametrize("scenes", ["../etc", "Coding", "a/b", "-x"])
def test_an_impossible_scene_id_is_refused(fresh: Runtime, scenes: str) -> None:
    done = fresh.init(scenes)
    assert done.returncode == 1
    assert done.stderr.startswith(f"fleet-init: FLEET_SCENES: '{scenes}': must be ")


def test_a_file_in_a_scenes_place_is_named_and_kept(fresh: Runtime) -> None:
    fresh.shell("echo work > /app/coding")
    done = fresh.init()
    assert done.returncode == 1
    assert done.stderr.startswith("fleet-init: /app/coding: a file: ")
    assert fresh.shell("cat /app/coding").stdout == "work\n"


def init_on(image: str, tmpfs: str, script: str = "fleet-init") -> subprocess.CompletedProcess[str]:
    """Run a script in a container whose /app or /data is this throw-away file system."""
    other = "/data" if tmpfs.startswith("/app") else "/app"
    return docker(
        "run",
        "--rm",
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        f"--tmpfs={tmpfs}",
        f"--tmpfs={other}:uid=10001,size=64m",
        "--env=FLEET_SCENES=coding",
        "--entrypoint=/bin/bash",
        image,
        "-c",
        script,
        check=False,
    )


def test_an_unusable_volume_is_one_line_naming_the_path(image: str) -> None:
    done = init_on(image, "/app:uid=0,size=64m")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("fleet-init: /app: not writable for uid 10001: ")


@pytest.mark.parametrize(
    ("tmpfs", "message"),
    [
        ("/app:uid=10001,size=4m", "fleet-init: /app: only 4 MiB free: delete files"),
        ("/data:uid=10001,size=4m", "fleet-init: /data: only 4 MiB free: delete files"),
        ("/data:uid=10001,size=64m,nr_inodes=50", "fleet-init: /data: only 49 free inodes: delete"),
    ],
)
def test_a_volume_that_is_nearly_full_is_told_and_laid(
    image: str, tmpfs: str, message: str
) -> None:
    done = init_on(image, tmpfs, "fleet-init && ls /app/AGENTS.md /app/coding/AGENTS.md")
    assert (done.returncode, done.stdout) == (0, "/app/AGENTS.md\n/app/coding/AGENTS.md\n")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(message)


FILL = "dd if=/dev/zero of=/app/work bs=4k status=none; df --output=avail /app | tail -n 1;"


def test_a_volume_that_the_user_filled_starts_and_what_is_missing_comes_later(image: str) -> None:
    done = init_on(
        image,
        "/app:uid=10001,size=4m",
        # A release brings a new skeleton file while nothing fits on the volume.
        f"fleet-init; grep -v AGENTS.md /app/.opencode-fleet > /data/r; rm /app/AGENTS.md; {FILL}"
        "cat /data/r > /app/.opencode-fleet; fleet-init; echo $?; ls /app/AGENTS.md*;"
        "rm /app/work; fleet-init; echo $?; ls /app/AGENTS.md*",
    )
    assert done.stdout.split() == ["0", "0", "0", "/app/AGENTS.md"], done.stderr
    assert "fleet-init: /app/AGENTS.md: not laid: No space left on device: " in done.stderr


def test_a_new_scene_on_a_full_volume_names_the_way_out(image: str) -> None:
    done = init_on(
        image,
        "/app:uid=10001,size=64m,nr_inodes=60",
        "fleet-init; n=0; while : > /app/f$n; do n=$((n+1)); done 2>/dev/null;"
        "FLEET_SCENES='coding research' fleet-init",
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fleet-init: /app/research: not made, the volume is full: ")
    assert last.endswith("fleet rescue USER")


def test_a_missing_password_ends_the_container_at_once(fresh: Runtime) -> None:
    fresh.init()
    done = docker("run", "--rm", *fresh.confinement, fresh.image, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fleet-start: OPENCODE_SERVER_PASSWORD: empty: ")
    assert len(done.stderr.splitlines()) == 1
