"""A `kubectl` that keeps objects in a folder: for error paths and for what a command asks of it.

Started as a program. It records every call and can be told to fail; it decides nothing.
"""

from __future__ import annotations

import fcntl
import json
import re
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

_KINDS = {
    "namespaces": "Namespace",
    "persistentvolume": "PersistentVolume",
    "persistentvolumes": "PersistentVolume",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "pvc": "PersistentVolumeClaim",
    "resourcequotas": "ResourceQuota",
    "limitranges": "LimitRange",
    "configmaps": "ConfigMap",
    "secrets": "Secret",
    "serviceaccounts": "ServiceAccount",
    "services": "Service",
    "roles": "Role",
    "rolebindings": "RoleBinding",
    "networkpolicies": "NetworkPolicy",
    "deployments": "Deployment",
    "ingresses": "Ingress",
    "pod": "Pod",
    "pods": "Pod",
    "lease": "Lease",
}


class Store:
    """The objects, calls and faults in the folder of one fake cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "objects.json"
        self.objects: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []

    def save(self) -> None:
        """Write the objects back."""
        (self.folder / "objects.json").write_text(json.dumps(self.objects))

    def record(self, arguments: Sequence[str], given: str) -> None:
        """Append a call to the record."""
        with (self.folder / "calls.jsonl").open("a") as file:
            file.write(json.dumps({"argv": list(arguments), "stdin": given}) + "\n")

    def fault(self, text: str) -> dict[str, Any] | None:
        """Return the first fault whose words all stand in `text`."""
        file = self.folder / "faults.json"
        faults = cast("list[dict[str, Any]]", json.loads(file.read_text()) if file.exists() else [])
        return next((item for item in faults if all(word in text for word in item["when"])), None)

    def select(
        self, kinds: Sequence[str], names: Sequence[str], namespace: str | None, selector: str
    ) -> list[dict[str, Any]]:
        """Return objects by kind, name, namespace and labels, as `kubectl get` does."""
        wanted = {_KINDS[kind.partition(".")[0]] for kind in kinds if kind[:4] != "http"}
        return [
            item
            for item in self.objects
            if item["kind"] in wanted
            and (not names or item["metadata"]["name"] in names)
            and namespace in (None, item["metadata"].get("namespace"))
            and _selected(item["metadata"].get("labels") or {}, selector)
        ]


def _selected(labels: dict[str, str], selector: str) -> bool:
    for term in filter(None, re.split(r",(?![^(]*\))", selector)):
        key, among, values = term.partition(" in ")
        if among:
            if labels.get(key) not in values.strip("()").split(","):
                return False
            continue
        key, sign, value = term.partition("=")
        if key not in labels or (sign and labels[key] != value):
            return False
    return True


def _identity(item: dict[str, Any]) -> tuple[str, str, str]:
    metadata = item["metadata"]
    return item["kind"], metadata.get("namespace", ""), metadata["name"]


def _options(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    words: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += ["--", *rest]
            break
        if word.startswith("--"):
            key, _, value = word.partition("=")
            if key in {"--raw", "--for"} and not value:
                value = rest.pop(0)
            options[key] = value
        elif word.startswith("-"):
            options[word] = rest.pop(0)
        else:
            words.append(word)
    return words, options


class Fake:
    """One call of the fake kubectl."""

    def __init__(self, store: Store, words: list[str], options: dict[str, str], given: str) -> None:
        self.store, self.words, self.options, self.given = store, words, options, given
        self.out = self.err = ""

    def say(self, text: str) -> None:
        """Print a line."""
        self.out += text + "\n"

    def complain(self, text: str) -> None:
        """Print an error line; the call fails."""
        self.err += text + "\n"

    def run(self) -> tuple[int, str, str]:
        """Do what the words say and return exit code, output and errors."""
        getattr(self, f"do_{self.words[0]}")()
        if self.words[0] != "get":
            self.store.save()
        return 1 if self.err else 0, self.out, self.err

    def given_items(self) -> list[dict[str, Any]]:
        """Return the objects on standard input."""
        content = json.loads(self.given)
        return content["items"] if content["kind"] == "List" else [content]

    def do_config(self) -> None:
        """Names of contexts."""
        self.say("opencode-fleet-local\nother")

    def do_get(self) -> None:
        """Objects as a List, or one of them by name."""
        if "--raw" in self.options:
            return self._raw(self.options["--raw"])
        kinds, names = self.words[1].split(","), self.words[2:]
        place = self.options.get("--namespace")
        found = self.store.select(kinds, names, place, self.options.get("--selector", ""))
        if names and not found:
            if "--ignore-not-found" not in self.options:
                self.complain(f'Error from server (NotFound): {kinds[0]} "{names[0]}" not found')
            return None
        single = len(names) == 1 and len(kinds) == 1
        return self.say(json.dumps(found[0] if single else {"kind": "List", "items": found}))

    def _raw(self, path: str) -> None:
        place = urllib.parse.urlsplit(path)
        plural = place.path.rpartition("/")[2]
        if plural == "readyz":
            return self.say("ok")
        if plural not in _KINDS:
            return self.complain("Error from server (NotFound): the server could not find it")
        query = urllib.parse.parse_qs(place.query)
        found = self.store.select([plural], [], None, query.get("labelSelector", [""])[0])
        # Items of a typed list name neither kind nor version, as on a real server.
        bare = [
            {key: value for key, value in item.items() if key not in {"kind", "apiVersion"}}
            for item in found
        ]
        version = found[0]["apiVersion"] if found else "v1"
        kind = f"{_KINDS[plural]}List"
        return self.say(json.dumps({"apiVersion": version, "kind": kind, "items": bare}))

    def do_apply(self) -> None:
        """Keep objects as given; a Deployment is ready at once."""
        for item in self.given_items():
            name = item["metadata"]["name"]
            fault = self.store.fault(f"object {item['kind']} {name}")
            if fault is not None:
                self.complain(fault["err"])
                continue
            before = [held for held in self.store.objects if _identity(held) == _identity(item)]
            self.store.objects = [
                held for held in self.store.objects if _identity(held) != _identity(item)
            ]
            if item["kind"] == "Deployment" and "status" not in item:
                count = item["spec"].get("replicas", 1)
                ready = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), count)
                generation = before[0]["metadata"]["generation"] + 1 if before else 1
                item["metadata"]["generation"] = generation
                item["status"] = {"observedGeneration": generation, **ready}
                if self.store.fault(f"ready {name}"):
                    item["status"] = {"observedGeneration": generation, "replicas": count}
            self.store.objects.append(item)
            self.say(f"{item['kind'].lower()}/{name}")

    def do_create(self) -> None:
        """Make an object that is not there, by `--raw` or not."""
        item = self.given_items()[0]
        if any(_identity(held) == _identity(item) for held in self.store.objects):
            name = item["metadata"]["name"]
            return self.complain(f'Error from server (AlreadyExists): leases "{name}" exists')
        return self._keep(item)

    def do_replace(self) -> None:
        """Put an object in the place of one of the same resource version."""
        item = self.given_items()[0]
        before = next(held for held in self.store.objects if _identity(held) == _identity(item))
        if before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            return self.complain("Error from server (Conflict): the object has been modified")
        self.store.objects.remove(before)
        return self._keep(item)

    def _keep(self, item: dict[str, Any]) -> None:
        before = int(item["metadata"].get("resourceVersion", len(self.store.objects)))
        item["metadata"]["resourceVersion"] = str(before + 1)
        self.store.objects.append(item)
        self.say(json.dumps(item))

    def do_delete(self) -> None:
        """Remove objects by name, as given, or one lease by `--raw` when its version is right."""
        if "--raw" in self.options:
            name = self.options["--raw"].rpartition("/")[2]
            version = json.loads(self.given)["preconditions"]["resourceVersion"]
            goes = {
                _identity(item)
                for item in self.store.select(["lease"], [name], None, "")
                if item["metadata"]["resourceVersion"] == version
            }
        elif self.options.get("-f") == "-":
            goes = {_identity(item) for item in self.given_items()}
        else:
            kind, name = _KINDS[self.words[1]], self.words[2]
            goes = {(kind, self.options.get("--namespace", ""), name)}
        gone = [item for item in self.store.objects if _identity(item) in goes]
        for item in gone:
            volume = item.get("spec", {}).get("volumeName")
            goes |= {("PersistentVolume", "", volume)} if item["kind"][-5:] == "Claim" else set()
        self.store.objects = [item for item in self.store.objects if _identity(item) not in goes]

    def do_patch(self) -> None:
        """Change a lease that is still of the given version; record only for other kinds."""
        change = json.loads(self.options["-p"])
        found = self.store.select([self.words[1]], [self.words[2]], None, "")
        if self.words[1] != "lease" or not found:
            return None
        if found[0]["metadata"]["resourceVersion"] != change["metadata"]["resourceVersion"]:
            return self.complain("Error from server (Conflict): the object has been modified")
        self.store.objects.remove(found[0])
        return self._keep({**found[0], "spec": {**found[0]["spec"], **change["spec"]}})

    def do_rollout(self) -> None:
        """Record only."""

    def do_wait(self) -> None:
        """Record only."""

    def do_logs(self) -> None:
        """A line of a log."""
        self.say("[opencode] listening")

    def do_exec(self) -> None:
        """What the runtime answers to a new session."""
        self.say(json.dumps({"id": "ses_1"}))


def answer(folder: Path, arguments: Sequence[str], given: str) -> tuple[int, str, str]:
    """Answer one call: exit code, output, errors; calls that come at once wait for each other."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _answer(folder, arguments, given)


def _answer(folder: Path, arguments: Sequence[str], given: str) -> tuple[int, str, str]:
    store = Store(folder)
    words, options = _options([item for item in arguments if not item.startswith("--context=")])
    store.record(arguments, given)
    fault = store.fault("call " + " ".join(arguments))
    if fault is not None:
        return int(fault.get("code", 1)), fault.get("out", ""), fault.get("err", "")
    return Fake(store, words, options, given).run()


def main(folder: str, arguments: list[str]) -> int:
    """Answer one call as a program."""
    code, out, err = answer(Path(folder), arguments, sys.stdin.read() if "-" in arguments else "")
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
