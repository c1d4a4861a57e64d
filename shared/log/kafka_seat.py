"""One process at the log: its producer, its memberships, and what it does when it is fenced."""

from kafka import TopicPartition

from shared.errors import Fenced
from shared.log.kafka_clients import Clients
from shared.log.kafka_committed import Committed
from shared.log.kafka_guard import Guard, Watchdog
from shared.log.kafka_members import Member
from shared.log.kafka_topics import topic
from shared.messages.streams import CHECKPOINTS


class Seat:
    """`{problem}.{service}.{instance}`: the transactional id (R7). All logs of a process share one.

    A second process with the same id fences this one (exit code 4); one with another `instance`
    shares the work, or stands by.
    """

    def __init__(
        self, clients: Clients, problem: str, service: str, instance: str, partitions: int = 1
    ) -> None:
        self.partitions = partitions
        self.clients = clients
        self.problem = problem
        self.guard = Guard(clients, f"{problem}.{service}.{instance}")
        self.watchdog = Watchdog(2 * clients.timeouts.transaction_s)
        self._instance = f"{service}.{instance}"
        self._members: dict[str, Member] = {}
        self._committed: dict[TopicPartition, Committed] = {}
        self._fenced = False

    def recover(self) -> None:
        """A fresh producer, if there is none; then nothing of an earlier one is undecided.

        Raises:
            Fenced: we were, and never come back: twins that both did would fence each other for
                ever (R5).
        """
        if self._fenced:
            raise Fenced(f"{self.problem}.{self._instance}: a newer instance has taken over")
        if not self.guard.is_open:
            self.guard.open()

    def committed(self, checkpoints: TopicPartition) -> Committed:
        """What this process knows of a partition of `checkpoints`."""
        if checkpoints not in self._committed:
            self._committed[checkpoints] = Committed(self.clients, checkpoints)
        return self._committed[checkpoints]

    def member(self, group: str) -> Member:
        """Our membership in a group, on the way to being one."""
        if group not in self._members:
            name = f"{self.problem}.{group}"
            where = topic(self.problem, CHECKPOINTS)
            self._members[group] = Member(self.clients, name, self._instance, where)
        return self._members[group]

    def assigned(self, group: str) -> frozenset[int] | None:
        """The partitions that are ours to work on; None while the group is being arranged."""
        held = self.member(group).held()
        return None if held is None else frozenset(token.partition for token in held)

    def fenced(self, group: str) -> bool:
        """The broker said so: is it true? The group's membership decides that (R5)."""
        self._fenced = group not in self._members or not self._members[group].verify()
        return self._fenced

    def close(self) -> None:
        """Let go in peace."""
        self.watchdog.stop()
        self.guard.close()
        for known in self._committed.values():
            known.close()
        for member in self._members.values():
            member.close()
