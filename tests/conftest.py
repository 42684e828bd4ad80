"""The fixtures that the tests of the toolkit share."""

from shared_fixtures import remove_datasets, run_tool, sharp_weights, small_shapes, tiny_cfg

__all__ = ["run_tool", "sharp_weights", "small_shapes", "tiny_cfg"]


def pytest_sessionfinish():
    remove_datasets()
