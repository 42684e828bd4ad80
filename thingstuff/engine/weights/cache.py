"""Model-zoo weights: fetched once, kept where Detectron2 keeps them, continued when a transfer was cut."""

from __future__ import annotations

import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

from iopath.common.file_io import get_cache_dir
from tqdm import tqdm

from thingstuff.errors import WeightsError

ZOO_PREFIX = "detectron2://"
ZOO_URL = "https://dl.fbaipublicfiles.com/detectron2/"
_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 20
_TRIES = 3


def local_weights(name: str) -> Path:
    """The local file of a path, an http(s) URL or a `detectron2://` name, fetched first if it is not in the cache."""
    url = ZOO_URL + name.removeprefix(ZOO_PREFIX) if name.startswith(ZOO_PREFIX) else name
    if urlparse(url).scheme not in ("http", "https"):
        return Path(url).expanduser()
    target = cache_path(url)
    if not target.is_file():
        _fetch(url, target)
    return target


def cache_path(url: str) -> Path:
    """Where Detectron2's own downloader would keep `url`, so that both share one copy. $FVCORE_CACHE moves it."""
    return Path(get_cache_dir()) / urlparse(url).path.lstrip("/")


def _fetch(url: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    reason = ""
    for _ in range(_TRIES):
        try:
            _continue_download(url, part)
            part.replace(target)
            return
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = " ".join(str(error).split())
            if isinstance(error, urllib.error.HTTPError) and error.code != 416:
                break
            if isinstance(error, urllib.error.HTTPError):
                part.unlink(missing_ok=True)  # the server has no such rest: what lies here is of another file
    raise WeightsError(
        f"cannot fetch {url} ({reason}): fetch it where there is a network and put it at {target}, "
        "or pass MODEL.WEIGHTS with a file of your own"
    )


def _continue_download(url: str, part: Path) -> None:
    """Append what is missing of `url` to `part`. HTTPException when the server closes early."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  http(s) alone comes here
        resumed = answer.status == 206
        total = int(answer.headers.get("Content-Length") or 0) + have * resumed
        bar = tqdm(total=total, initial=have * resumed, unit="B", unit_scale=True, desc=part.stem, file=sys.stderr)
        with part.open("ab" if resumed else "wb") as file, bar:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))
    if total and part.stat().st_size < total:
        raise http.client.IncompleteRead(b"", total - part.stat().st_size)
