"""Where torchrun's processes agree on who they are this time: the store that they share outlives each of them.

torchrun counts restarts for each agent by itself, and an agent that replaces a dead one begins at nought. So the count
can neither tell this start from the one before, nor whether there was one.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import DistStoreError, Store

from thingstuff.errors import SetupError

_LEADER, _MET = "leader", "met"
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Meeting:
    """`name` is that of this start alone; `again` says that the same run has met before, with these or others."""

    name: str
    again: bool


def meet(store: Store, rank: int, processes: int, restarts: int, patience: timedelta) -> Meeting:
    """Called by every process of a start, with a store in which ended starts may have left their words.

    The first process proposes a name, the others sign below it, and the name counts for those whose signatures the
    first one has confirmed. `restarts`: how often this process knows that it was started before.
    """
    try:
        if rank == 0:
            return _lead(store, processes, restarts, patience)
        return _follow(store, rank, restarts, patience)
    except DistStoreError as error:
        raise SetupError(
            f"the {processes} processes that torchrun started did not meet within {patience.total_seconds():.0f} s: "
            "see what the others say"
        ) from error


def _lead(store: Store, processes: int, restarts: int, patience: timedelta) -> Meeting:
    name = uuid.uuid4().hex
    store.set(_LEADER, name)
    signatures = [f"{name}/{rank}" for rank in range(1, processes)]
    if signatures:
        store.wait(signatures, patience)
    signed = [json.loads(store.get(one)) for one in signatures]
    began_before = max([restarts, *(one["restarts"] for one in signed)]) > 0
    again = store.add(_MET, 1) > 1 or began_before
    store.set(f"{name}/confirmed", json.dumps({"signed": [one["by"] for one in signed], "again": again}))
    return Meeting(name, again)


def _follow(store: Store, rank: int, restarts: int, patience: timedelta) -> Meeting:
    me, signed = uuid.uuid4().hex, None
    until = time.monotonic() + patience.total_seconds()
    store.wait([_LEADER], patience)
    while time.monotonic() < until:
        name = store.get(_LEADER).decode()
        if name != signed:  # what an ended start has left is replaced sooner or later
            store.set(f"{name}/{rank}", json.dumps({"by": me, "restarts": restarts}))
            signed = name
        if store.check([f"{name}/confirmed"]):
            confirmed = json.loads(store.get(f"{name}/confirmed"))
            if me in confirmed["signed"]:
                return Meeting(name, confirmed["again"])
        time.sleep(_LOOK_EVERY_S)
    raise DistStoreError("no leader came")
