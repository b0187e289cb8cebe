"""Nothing is lost: chats and files outlive whatever happens to the pod that holds them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from tests.e2e.harness.environment import Environment
from tests.e2e.harness.kube import Live, is_ready, restarts
from tests.e2e.harness.making import Maker
from tests.e2e.harness.memory import Memory, make_work, remember
from tests.e2e.harness.waiting import until
from tests.e2e.harness.workspace import REFUSED, answer_text

pytestmark = pytest.mark.e2e
USER = "carol"
# tini is PID 1; its child is OpenCode, whatever the process calls itself.
FIND = (
    "for p in /proc/[0-9]*; do read -r _ name _ ppid _ < $p/stat;"
    ' [ "$ppid" = 1 ] && pid=${p#/proc/} && '
)
KILL = FIND + 'grep -q opencode $p/cmdline && kill -9 "$pid"; done; true'
DOOM = FIND + "grep -q opencode $p/cmdline && echo 1000 > /proc/$pid/oom_score_adj; done; true"
# Many small eaters: the kernel kills the largest process, and that is then OpenCode.
HOG = """import os, time
for _ in range(99):
    if os.fork() == 0:
        held = bytearray(b"x" * 48 * 2**20)
        time.sleep(60)
        os._exit(0)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def keep(make: Maker) -> Environment:
    """One user with work to lose."""
    environment = make("keep", [USER])
    environment.user(USER)["scenes"] = ["coding"]
    environment.up()
    environment.workspace(USER).healthy()
    make_work(environment, USER)
    return environment


@pytest.fixture
def before(keep: Environment) -> Iterator[Memory]:
    """What the user had; afterwards it must all be there, and the next prompt must work."""
    known = remember(keep, USER)
    yield known
    found = remember(keep, USER)
    assert found.files == known.files
    for chat, messages in known.chats.items():
        assert found.chats[chat][: len(messages)] == messages
    workspace = keep.workspace(USER)
    answer = workspace.say(sorted(workspace.chats())[0], "[[say it goes on]]")
    assert "it goes on" in answer_text(answer)


def restarted(environment: Environment, pod: Live) -> Live:
    """Wait until a pod's container was restarted in place and return the pod."""

    def check() -> Live | None:
        found = environment.pod(USER)
        assert found["metadata"]["uid"] == pod["metadata"]["uid"], "another pod"
        return found if restarts(found) > restarts(pod) and is_ready(found) else None

    return until("the container is restarted and ready", check, 90)


@pytest.mark.smoke
@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_opencode_is_killed_in_the_middle_of_an_answer(
    keep: Environment,
) -> None:
    """Lost otherwise: a crash takes the chat it happened in, or all of them."""
    carol, pod = keep.workspace(USER), keep.pod(USER)
    chat = carol.chat()
    carol.say(chat, "[[say before the crash]]")
    carol.begin(chat, "[[slow 30]] [[say never]]")
    until("an answer is under way", lambda: carol.busy(chat), 15)
    keep.inside(USER, "bash", "-c", KILL)
    restarted(keep, pod)
    carol.healthy()
    texts = [text for _, text in carol.messages(chat)]
    assert "before the crash" in texts
    assert "after the crash" in answer_text(carol.say(chat, "[[say after the crash]]"))


@pytest.mark.smoke
@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_pod_is_deleted(keep: Environment) -> None:
    """Lost otherwise: a drained node or a careless kubectl takes people's work."""
    pod = keep.pod(USER)["metadata"]
    keep.kube.ask("delete", "pod", pod["name"], f"-n={keep.namespace}", "--wait=false")
    keep.ready(USER, but=pod["uid"])


def test_a_runtime_that_is_called_ready_answers_at_once(keep: Environment) -> None:
    """Lost otherwise: `apply` and the front door send people to a workspace that hangs.

    OpenCode's port opens seconds before it answers, and what comes in between is never answered.
    """
    pod = keep.pod(USER)["metadata"]
    keep.kube.ask("delete", "pod", pod["name"], f"-n={keep.namespace}", "--wait=false")
    keep.ready(USER, but=pod["uid"])
    ask = "curl -s -m 3 -o /dev/null -w '%{http_code}' http://127.0.0.1:4096/global/health"
    assert keep.inside(USER, "sh", "-c", ask).stdout == "401"


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_process_is_killed_while_a_tool_runs(keep: Environment) -> None:
    """Lost otherwise: a node that restarts its processes in mid-work leaves a broken chat."""
    carol, pod = keep.workspace(USER), keep.pod(USER)
    chat = carol.chat()
    call = '{"command": "echo half > /app/half.txt; sleep 60", "description": "sleep"}'
    carol.begin(chat, f"[[tool bash {call}]] [[say never]]")
    look = ("cat", "/app/half.txt")
    until("the tool runs", lambda: keep.inside(USER, *look).returncode == 0, 30)
    keep.inside(USER, "bash", "-c", KILL)
    restarted(keep, pod)
    carol.healthy()
    assert keep.inside(USER, *look).stdout == "half\n"
    keep.inside(USER, "rm", "/app/half.txt")
    assert "goes on" in answer_text(carol.say(chat, "[[say goes on]]"))


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_a_tool_eats_all_memory_and_opencode_is_killed_for_it(
    keep: Environment,
) -> None:
    """Lost otherwise: one greedy build ends the user's workspace for good.

    OpenCode is also marked as the kernel's first victim, so that this is no matter of luck.
    """
    pod = keep.pod(USER)["metadata"]
    keep.kube.ask("delete", "pod", pod["name"], f"-n={keep.namespace}", "--wait=false")
    fresh = keep.ready(USER, but=pod["uid"])
    keep.workspace(USER).healthy()
    assert keep.inside(USER, "bash", "-c", DOOM).returncode == 0
    keep.inside(USER, "python3", "-c", HOG, timeout=120)
    after = restarted(keep, fresh)
    ended = after["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) in {("OOMKilled", 137), ("Error", 137)}, ended


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_kernel_ends_a_greedy_tool(keep: Environment) -> None:
    """Lost otherwise: a build that needs too much memory takes the user's chats with it.

    With cgroup v1 only the tool is killed, with v2 the whole container: both must be survived.
    """
    carol, pod = keep.workspace(USER), keep.pod(USER)
    chat = carol.chat()
    hog = "python3 -c 'a = [bytearray(2**24) for _ in range(999)]'; echo ended"
    call = json.dumps({"command": hog, "description": "eat"})
    carol.begin(chat, f"[[tool bash {call}]] [[say survived]]")

    def over() -> bool:
        if restarts(keep.pod(USER)) > restarts(pod):
            return is_ready(keep.pod(USER))
        return ("assistant", "survived") in carol.messages(chat)

    until("the tool has been ended", over, 90)


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_image_is_rolled(keep: Environment) -> None:
    """Lost otherwise: every update of the runtime image is a gamble with people's work.

    The same image under its other name is a new image to Kubernetes: the pod is made anew.
    """
    uid = keep.uids()[USER]
    other = keep.image.removeprefix("docker.io/")
    if other == keep.image:
        first = keep.image.partition("/")[0]
        assert "." not in first, "give an image of Docker Hub's naming, or with docker.io/"
        other = f"docker.io/{keep.image}"
    keep.up(image=other)
    pod = keep.ready(USER)
    assert pod["metadata"]["uid"] != uid
    assert pod["spec"]["containers"][0]["image"] == other


@pytest.mark.usefixtures("before")
def test_two_runtimes_of_one_user_never_run_at_the_same_time(keep: Environment) -> None:
    """Lost otherwise: two processes write one database, which ends corrupt on some disks."""
    user = keep.user(USER)
    user["passwordVersion"] = int(user.get("passwordVersion", 1)) + 1
    most, over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.1):
            most = max(most, running(keep))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        keep.up()
    finally:
        over.set()
        watcher.join()
    assert most == 1


def running(environment: Environment) -> int:
    """Return how many pods have a container that runs, those on their way out included."""
    pods = environment.kube.list("pods", f"--namespace={environment.namespace}")
    statuses = [item["status"].get("containerStatuses", []) for item in pods]
    return sum(any("running" in one["state"] for one in pod) for pod in statuses)


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_password_is_rotated(keep: Environment) -> None:
    """Lost otherwise: a leaked password cannot be replaced, or replacing it costs the work."""
    old = keep.workspace(USER)
    user = keep.user(USER)
    user["passwordVersion"] = int(user.get("passwordVersion", 1)) + 1
    keep.up()
    new = keep.workspace(USER)
    new.healthy()
    assert new.password != old.password
    assert old.call("GET", "/global/health").status in REFUSED


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_profile_changes(keep: Environment) -> None:
    """Lost otherwise: a user who needs more memory has to begin anew."""
    big = {**keep.config["profiles"]["standard"], "memory": {"request": "64Mi", "limit": "1536Mi"}}
    keep.config["profiles"]["big"] = big
    keep.user(USER)["profile"] = "big"
    keep.up()
    limits = keep.pod(USER)["spec"]["containers"][0]["resources"]["limits"]
    assert limits["memory"] == "1536Mi"
    keep.user(USER)["profile"] = "standard"
    keep.up()


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_a_user_is_suspended_and_resumed(keep: Environment) -> None:
    """Lost otherwise: saving money over a holiday costs the user's work."""
    password = keep.workspace(USER).password
    keep.user(USER)["state"] = "suspended"
    keep.up()
    until("no pod is left", lambda: not keep.pods(), 30)
    keep.user(USER)["state"] = "active"
    keep.up()
    assert keep.workspace(USER).password == password


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_a_user_is_removed_and_comes_back(keep: Environment) -> None:
    """Lost otherwise: a roster edited by mistake deletes a person's work for good."""
    entry = keep.user(USER)
    keep.config["users"] = [{"id": "someone"}]
    keep.up()
    assert keep.kube.one("deployment", f"oc-{USER}", keep.namespace) is None
    assert keep.kube.one("secret", f"oc-{USER}", keep.namespace) is None
    states = {row["user"]: row["state"] for row in keep.fleet("status", "--json").json["users"]}
    assert states[USER] == "retained"
    keep.config["users"] = [entry]
    keep.up()


@pytest.mark.usefixtures("before")
def test_nothing_is_lost_when_the_environment_is_destroyed_and_made_again(
    keep: Environment,
) -> None:
    """Lost otherwise: `destroy` means what it means elsewhere, and everybody's work is gone."""
    keep.destroy()
    assert keep.kube.one("pvc", f"oc-{USER}", keep.namespace) is not None
    until("no pod is left", lambda: not keep.pods(), 60)
    kinds = "deployments,services,ingresses,configmaps,networkpolicies,secrets,leases"
    selector = f"--selector=opencode-fleet/environment={keep.name}"
    keep.kube.gone("namespace", keep.door_namespace)
    assert keep.kube.list(kinds, "--all-namespaces", selector) == []
    keep.up()
