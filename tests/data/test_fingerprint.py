"""A file is recognised after it was touched or moved away and back, and not after it was changed."""

import os

from thingstuff.data.fingerprint import fingerprint, is_still


def test_touched_is_the_same_and_changed_is_not(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    known = fingerprint(path)
    assert is_still(path, known)
    os.utime(path, (1, 1))
    assert is_still(path, known), "another time, the same content"
    path.write_bytes(b"two")
    assert not is_still(path, known)
    path.write_bytes(b"longer")
    assert not is_still(path, known)
    assert is_still(path, None), "nothing is known of it"
