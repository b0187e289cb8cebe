"""What was read of Deployments and pods, kept as small as the door needs it.

An object as the API shows it has some seven kilobytes, what is kept of it a few hundred bytes: a
thousand users fit. An object that was listed again and says the same changes nothing, so that
nobody is woken by it. Leaves out: how objects come here (`watching`), what they mean (`roster`,
`phases`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from door.control.live import Live, part, text
from door.control.phases import PodFacts, pod_facts
from door.control.roster import Person, person_of

Place: TypeAlias = tuple[str, str]
"""Namespace and name."""


class Deployments:
    """The runtimes' Deployments, of all pools."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.found: dict[Place, Person] = {}
        self._on_change = on_change

    def replaced(self, namespace: str, items: Sequence[Live]) -> None:
        """Take all Deployments of a pool."""
        read = {_place(namespace, item): person_of(item) for item in items}
        gone = {place for place in self.found if place[0] == namespace} - read.keys()
        changed = [self._take(place, person) for place, person in read.items()]
        for place in gone:
            del self.found[place]
        if gone or any(changed):
            self._on_change()

    def changed(self, namespace: str, item: Live) -> None:
        """Take one Deployment."""
        if self._take(_place(namespace, item), person_of(item)):
            self._on_change()

    def removed(self, namespace: str, item: Live) -> None:
        """Forget one Deployment."""
        if self.found.pop(_place(namespace, item), None) is not None:
            self._on_change()

    def _take(self, place: Place, person: Person | None) -> bool:
        if person == self.found.get(place):
            return False
        if person is None:
            del self.found[place]
        else:
            self.found[place] = person
        return True


class Pods:
    """The runtimes' pods, of all pools, by the Deployment that asked for them."""

    def __init__(self, on_change: Callable[[str, str], None]) -> None:
        self._found: dict[Place, dict[str, PodFacts]] = {}
        self._on_change = on_change

    def of(self, namespace: str, deployment: str) -> Iterable[PodFacts]:
        """Return the pods of a Deployment, ending ones too."""
        return self._found.get((namespace, deployment), {}).values()

    def replaced(self, namespace: str, items: Sequence[Live]) -> None:
        """Take all pods of a pool."""
        read = [facts for item in items if (facts := pod_facts(item)) is not None]
        names = {facts.name for facts in read}
        for place, pods in list(self._found.items()):
            if place[0] == namespace:
                for gone in [facts for name, facts in pods.items() if name not in names]:
                    self._drop(gone)
        for facts in read:
            self._take(facts)

    def changed(self, namespace: str, item: Live) -> None:
        """Take one pod."""
        del namespace
        facts = pod_facts(item)
        if facts is not None:
            self._take(facts)

    def removed(self, namespace: str, item: Live) -> None:
        """Forget one pod."""
        del namespace
        facts = pod_facts(item)
        if facts is not None:
            self._drop(facts)

    def _take(self, facts: PodFacts) -> None:
        pods = self._found.setdefault((facts.namespace, facts.owner), {})
        if pods.get(facts.name) != facts:
            pods[facts.name] = facts
            self._on_change(facts.namespace, facts.owner)

    def _drop(self, facts: PodFacts) -> None:
        place = (facts.namespace, facts.owner)
        pods = self._found.get(place, {})
        if pods.pop(facts.name, None) is not None:
            if not pods:
                del self._found[place]
            self._on_change(facts.namespace, facts.owner)


def _place(namespace: str, item: Live) -> Place:
    return namespace, text(part(item, "metadata"), "name")
