"""Small JSON files made wrong in many ways: values of other types, cut files, other bytes."""

import copy
import json
import random

STRANGE = (
    *(
        None,
        True,
        False,
        "",
        "7",
        "../../x",
        "/etc/passwd",
        "a\0b",
        "x" * 5000,
        "\ud800",
        [],
        {},
        [[]],
        [None],
        {"a": []},
    ),
    *(-1, 0, 10**30, -(10**30), 1e308, float("nan"), float("inf"), 0.5, 2**31, 2**63, [1, 2, 3], [[1, 2], 3]),
    *({"size": [10**9, 10**9], "counts": [0, 10**18]}, {"size": [10**5, 10**5], "counts": "0"}, [["a"] * 6]),
    {"size": [2, 2], "counts": [2**62, 2**62, 2**62, 2**62, 4]},
)


def mutated_files(content, count, seed=0):
    """`count` times bytes of a JSON file that is like that of `content`, and is wrong somewhere."""
    rng = random.Random(seed)
    whole = json.dumps(content).encode()
    for number in range(count):
        if number % 3 == 0:
            yield _damaged(whole, rng)
        else:
            yield json.dumps(mutated(content, rng)).encode()


def mutated(content, rng):
    """A copy with one or two values replaced, left out or repeated."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 2))):
        parents = list(_containers(content))
        parent = rng.choice(parents)
        key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        way = rng.random()
        if way < 0.75:
            parent[key] = copy.deepcopy(rng.choice(STRANGE))
        elif way < 0.9:
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
    return content


def _containers(value):
    if isinstance(value, dict | list) and value:
        yield value
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _containers(entry)


def _damaged(whole, rng):
    if rng.random() < 0.4:
        return whole[: rng.randrange(len(whole))]
    changed = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.choice(b'"{}[],:0aN-\\\x00\xff')
    return bytes(changed)
