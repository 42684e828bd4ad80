"""Install a Detectron2 that works on today's PyTorch, from the package registry and verified by its checksum.

Detectron2 itself is on no registry. A registry wheel made by others carries its source unchanged but for three
files; it is fetched, checked against a fixed SHA-256, stripped of what does not belong to Detectron2 and installed
under Detectron2's own name. docs/dependencies.md tells the whole story. Only the standard library is used here,
since this runs before anything else is installed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from thingstuff.cli.common import run_command
from thingstuff.errors import SetupError

SOURCE = "sal-detectron2==0.7.2"
SOURCE_SHA256 = "491af0c7f79bdb2d178e46f6cb16a97c4ac968d45c41ea3f6b6435d59bbee561"
LOWEST_PYTHON = (3, 11)
VERSION = "0.7.2+a59f0563"  # the version that the module states, and the upstream commit it holds
_DATE_IN_ZIP = (2024, 4, 17, 0, 0, 0)  # fixed, so that the same input always gives the same wheel


def main(argv: list[str] | None = None) -> int:
    return run_command(build_parser(), _install, argv)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="install_detectron2", description=__doc__.split("\n")[0])
    parser.add_argument("--force", action="store_true", help="install even when a Detectron2 already imports")
    parser.add_argument("--wheel", type=Path, help="use this downloaded wheel instead of asking the registry")
    parser.add_argument("--output", type=Path, help="write the repacked wheel into this folder and install nothing")
    return parser


def _install(args: argparse.Namespace) -> int:
    _refuse_old_python(sys.version_info[:2])
    found = None if args.force or args.output else installed_detectron2()
    if found:
        print(f"keeping the Detectron2 that is already here: {found}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source = args.wheel or download(Path(folder))
        verify(source)
        wheel = repack(source, args.output or Path(folder))
        if args.output:
            print(f"wrote {wheel}")
            return 0
        _pip("install", "--quiet", "--force-reinstall", "--no-deps", str(wheel), problem="could not install the wheel")
        _pip("install", "--quiet", str(wheel), problem="could not install what Detectron2 needs")
    print(f"installed {installed_detectron2() or _refuse_broken()}")
    return 0


def _refuse_old_python(version: tuple[int, int]) -> None:
    if version < LOWEST_PYTHON:
        wanted, got = (".".join(map(str, v)) for v in (LOWEST_PYTHON, version))
        raise SetupError(f"Python {got} is too old: make a virtual environment with Python {wanted} or newer")


def installed_detectron2() -> str | None:
    """Version and place of the Detectron2 that imports here, or None, as a fresh process sees it."""
    code = "import detectron2, detectron2.layers; print(detectron2.__version__, 'in', detectron2.__path__[0])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return f"detectron2 {answer.stdout.strip()}" if answer.returncode == 0 else None


def _refuse_broken() -> str:
    raise SetupError(
        "Detectron2 was installed but does not import: run `python -c 'import detectron2.layers'` to see why"
    )


def download(folder: Path) -> Path:
    """Fetch the source wheel into `folder`. Its tag says CPython 3.10, but all except one file is plain Python."""
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.10", "--dest", str(folder))
    _pip("download", *options, SOURCE, problem=f"could not download {SOURCE}")
    wheels = list(folder.glob("sal_detectron2-*.whl"))
    if len(wheels) != 1:
        raise SetupError(f"expected one wheel of {SOURCE} from the registry, got {len(wheels)}: pass one with --wheel")
    return wheels[0]


def _pip(*arguments: str, problem: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        reason = [line for line in answer.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise SetupError(f"{problem}: is a package registry reachable? pip says: {reason[-1]}")


def verify(wheel: Path) -> None:
    """Refuse a wheel whose content is not exactly the one that was examined."""
    if not wheel.is_file():
        raise SetupError(f"no such wheel: {wheel}")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SOURCE_SHA256:
        raise SetupError(f"{wheel.name} has SHA-256 {digest}, expected {SOURCE_SHA256}: delete it and fetch it again")


def repack(source: Path, folder: Path) -> Path:
    """Write a clean `detectron2` wheel into `folder`: Detectron2's own files only, installable on any Python."""
    dist_info = f"detectron2-{VERSION}.dist-info"
    target = folder / f"detectron2-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(source) as wheel:
        files = {name: wheel.read(name) for name in wheel.namelist() if _belongs(name)}
        old_info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        files[f"{dist_info}/METADATA"] = _metadata(wheel.read(old_info).decode()).encode()
        files[f"{dist_info}/LICENSE"] = wheel.read(old_info.replace("METADATA", "LICENSE"))
    files[f"{dist_info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: thingstuff\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    files[f"{dist_info}/top_level.txt"] = b"detectron2\n"
    files[f"{dist_info}/RECORD"] = _record(files, dist_info)
    folder.mkdir(parents=True, exist_ok=True)
    _write_zip(files, target)
    return target


def _belongs(name: str) -> bool:
    compiled = name.startswith("detectron2/_C") and name.endswith(".so")  # built for another Python and another torch
    return name.startswith("detectron2/") and not compiled


def _metadata(text: str) -> str:
    """The source's METADATA under Detectron2's name, without the bounds that only its old binary needed.

    `pkg_resources`, which Detectron2's model zoo imports, left setuptools with version 81.
    """
    replaced = {
        "Name: sal-detectron2": "Name: detectron2",
        "Version: 0.7.2": f"Version: {VERSION}",
        "Requires-Dist: numpy<2": "Requires-Dist: numpy\nRequires-Dist: fvcore>=0.1.5\nRequires-Dist: iopath>=0.1.8\n"
        "Requires-Dist: setuptools<81",
    }
    lines = text.splitlines()
    absent = [line for line in replaced if line not in lines]
    if absent:
        raise SetupError(f"the wheel's METADATA lacks the line {absent[0]!r}: it is not the wheel that was examined")
    lines = [replaced.get(line, line) for line in lines if not line.startswith("Summary:")]
    return "\n".join(lines) + "\n"


def _record(files: dict[str, bytes], dist_info: str) -> bytes:
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    return ("\n".join([*rows, f"{dist_info}/RECORD,,"]) + "\n").encode()


def _write_zip(files: dict[str, bytes], target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _DATE_IN_ZIP)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(info, content)


if __name__ == "__main__":
    sys.exit(main())
