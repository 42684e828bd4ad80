"""Processes that meet in a store in which ended starts have left their words; here they are threads."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from thingstuff.engine.meeting import meet
from thingstuff.errors import SetupError

PATIENCE = timedelta(seconds=20)
SHORT = timedelta(seconds=0.3)


def together(store, restarts=(0, 0, 0)):
    """What each of as many processes gets."""
    with ThreadPoolExecutor(len(restarts)) as pool:
        places = range(len(restarts))
        return list(pool.map(lambda rank: meet(store, rank, len(restarts), restarts[rank], PATIENCE), places))


def test_all_get_the_same_name_and_a_new_one_each_time():
    store = HashStore()
    first, second = together(store), together(store)
    assert len(set(first)) == len(set(second)) == 1
    assert first[0].name != second[0].name


def test_the_second_time_they_know_that_they_have_met():
    store = HashStore()
    assert [one.again for one in together(store)] == [False] * 3
    assert [one.again for one in together(store)] == [True] * 3
    assert [one.again for one in together(store, (0,))] == [True]


@pytest.mark.parametrize("restarts", [(1, 0, 0), (0, 0, 2)])
def test_one_that_knows_of_an_earlier_start_tells_those_that_are_new(restarts):
    assert [one.again for one in together(HashStore(), restarts)] == [True] * 3


def test_one_process_meets_itself():
    (alone,) = together(HashStore(), (0,))
    assert alone.again is False


def test_who_signs_below_the_name_of_an_ended_start_signs_again_when_the_new_one_comes():
    store = HashStore()
    (old, *_) = together(store, (0, 0))
    signed = threading.Event()
    found = []

    def late():
        signed.set()
        found.append(meet(store, 1, 2, 0, PATIENCE))

    follower = threading.Thread(target=late)
    follower.start()
    signed.wait()
    while json.loads(store.get(f"{old.name}/1"))["by"] in json.loads(store.get(f"{old.name}/confirmed"))["signed"]:
        pass  # until the late one has signed below the old name
    assert not found
    leader = meet(store, 0, 2, 0, PATIENCE)
    follower.join()
    assert found == [leader]
    assert leader.name != old.name


def test_a_start_that_broke_off_does_not_hold_up_the_next_one():
    store = HashStore()
    with pytest.raises(SetupError, match="the 2 processes that torchrun started did not meet within 0 s"):
        meet(store, 0, 2, 0, SHORT)
    one, other = together(store, (0, 0))
    assert one == other
    assert one.again is False


@pytest.mark.parametrize("left_behind", [False, True])
def test_who_waits_for_a_leader_in_vain_is_told(left_behind):
    store = HashStore()
    if left_behind:
        together(store, (0, 0))
    with pytest.raises(SetupError, match="did not meet within"):
        meet(store, 1, 2, 0, SHORT)
