"""Reads, checks and converts damaged copies of one data set, in a process of its own, and prints what went wrong.

    fuzz_worker.py NAME FIRST COUNT FOLDER

Each copy goes by its number, so that FIRST N and COUNT 1 repeat it alone.
"""

import faulthandler
import json
import logging
import os
import random
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path

from fuzz_damage import damaged
from fuzz_sources import sound_sets

from thingstuff.data.checks import Checked, run_checks
from thingstuff.data.convert import convert
from thingstuff.data.fix import mended
from thingstuff.data.formats import FORMATS, WriteOptions
from thingstuff.data.results import RESULTS
from thingstuff.errors import UserError

MOST_CPU_S = 30.0  # what takes longer hangs; the usual is some hundredths
MOST_MIB = 500
MOST_CHARACTERS = 2000
HANGS_S = 60
SHOWN = 12


class FaultError(Exception):
    """What must not be: said in words."""


def main(name, first, count, folder):
    sound = sound_sets()[name]
    home = folder / "a/b/c/street_data"
    for path, data in sound.files.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(data)
    _pass_through(sound, home, random.Random(0))  # so that what is loaded once is loaded
    shutil.rmtree(home.with_name("out"), ignore_errors=True)
    before_mib, faults, refused, converted = _memory_mib("VmSize"), {}, 0, 0
    for number in range(first, first + count):
        rng = random.Random(f"{name} {number}")
        damaged_name = rng.choice(sound.damaged)
        try:
            steps = _try(sound, home, damaged_name, rng, folder, before_mib)
            refused += "read" not in steps
            converted += "convert" in steps
        except Exception as error:  # whatever it is, it is a fault
            kind = _kind(error)
            faults.setdefault(kind, []).append((number, damaged_name, str(error)[:600]))
    _report(faults, refused, converted, _memory_mib("VmPeak") - before_mib)


def _report(faults, refused, converted, peak_mib):
    told = [
        f"{len(found)} times, first number {found[0][0]} ({found[0][1]}): {kind}: {found[0][2]!r}"
        for kind, found in faults.items()
    ]
    print(json.dumps({"faults": told[:SHOWN], "refused": refused, "converted": converted, "peak_mib": peak_mib}))


def _try(sound, home, damaged_name, rng, folder, before_mib):
    """The steps that this copy came through; a fault is raised."""
    path = home / damaged_name
    whole = sound.files[damaged_name]
    is_gone = rng.random() < 0.01
    path.unlink() if is_gone else path.write_bytes(damaged(damaged_name, whole, rng))
    before, start = _listing(folder), time.process_time()
    faulthandler.dump_traceback_later(HANGS_S, exit=True)
    try:
        steps = _pass_through(sound, home, rng)
    finally:
        faulthandler.cancel_dump_traceback_later()
        path.write_bytes(whole)
        shutil.rmtree(home.with_name("out"), ignore_errors=True)
    if (took := time.process_time() - start) > MOST_CPU_S:
        raise FaultError(f"took {took:.1f} s")
    if (peak := _memory_mib("VmPeak") - before_mib) > max(MOST_MIB, *_peaks):
        _peaks.append(peak)
        raise FaultError(f"needed {peak} MiB")
    if before - {damaged_name} != _listing(folder) - {damaged_name}:
        raise FaultError(f"files outside of the output folder: {sorted(_listing(folder) ^ before)}")
    return steps


def _pass_through(sound, home, rng):
    names = {str(home), *(Path(part).name for part in sound.files), *(Path(part).parts[0] for part in sound.files)}
    steps = set()
    for each in (*FORMATS.values(), *RESULTS.values()):
        each.recognises(home / sound.annotations)
    read = _step(steps, "read", names, lambda: sound.read(home))
    if read is None:
        return steps
    for is_quick in (True, False):
        for found in _step(steps, "check", names, lambda q=is_quick: run_checks(Checked(read, q))) or ():
            for one in found.examples:
                _refuse_text(one.message, "of a finding")
                _refuse_text(one.place, "of a finding's place")
    mend = _step(steps, "mend", names, lambda: mended(read)) or {}
    options = WriteOptions(copy_images=rng.random() < 0.5)
    out = home.with_name("out")
    _step(steps, "convert", names, lambda: convert(read, "coco", out / "coco", options))
    _step(steps, "convert", names, lambda: convert(mend, "coco", out / "mended", options))
    other = rng.choice([name for name, each in FORMATS.items() if each.write is not None])
    _step(steps, "convert", names, lambda: convert(read, other, out / "other", options))
    return steps


def _step(steps, name, names, work):
    try:
        result = work()
    except UserError as error:
        _refuse_text(str(error), "")
        if not any(part in str(error) for part in names):
            raise FaultError(f"names no file: {error}") from error
        return None
    steps.add(name)
    return result


def _refuse_text(text, what):
    if len(text.splitlines()) != 1 or not text.isprintable() or len(text) > MOST_CHARACTERS:
        raise FaultError(f"no line for people {what}: {text!r:.300}")


def _kind(error):
    """Equal for what has the same cause, as far as that can be told."""
    frames = traceback.extract_tb(error.__traceback__)
    cause = error.__cause__
    if isinstance(error, FaultError) and cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in frames if "/thingstuff/" in f.filename]
    text = f" {str(error)[:30]}" if isinstance(error, FaultError) else ""
    return f"{type(error).__name__}{text} at {' < '.join(reversed(places[-3:]))}"


_peaks = [0, 0]  # what was said already, since the kernel tells the highest since the start


def _listing(folder):
    out = folder / "a/b/c/out"
    found = set()
    for place, folders, files in os.walk(folder):
        if Path(place) == out:
            folders.clear()
        else:
            found |= {os.path.relpath(f"{place}/{file}", folder / "a/b/c/street_data") for file in (*files, ".")}
    return found


def _memory_mib(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) >> 10
    raise FaultError(f"no {key}")


if __name__ == "__main__":
    logging.disable()
    warnings.simplefilter("ignore")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
