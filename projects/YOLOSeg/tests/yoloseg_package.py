"""Whether ultralytics is there, found out by the project's own silent import; pytest's would ask the network."""

import pytest
from yoloseg.package import load_package

from thingstuff.errors import SetupError


def needs_ultralytics():
    """Skips the module or test that calls it where ultralytics is missing, and says how to get it."""
    try:
        load_package()
    except SetupError as error:
        pytest.skip(str(error), allow_module_level=True)
