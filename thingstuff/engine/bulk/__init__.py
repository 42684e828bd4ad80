"""Bulk prediction on Ray Data: shards of images are read, predicted, encoded and written by workers of many machines.

Importing this package loads neither Ray nor torch: its workers that only read images need no network.
"""
