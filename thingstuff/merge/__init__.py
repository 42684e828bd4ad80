"""Things plus stuff make a panoptic map, and a ledger of what that cost: one rule a file."""

from thingstuff.merge.greedy import Greedy
from thingstuff.merge.inputs import MergeInputs
from thingstuff.merge.ledger import InstanceEntry, Ledger, StuffEntry
from thingstuff.merge.merge import merge
from thingstuff.merge.registry import RULES, build_rule, register_rule
from thingstuff.merge.rule import Rule
from thingstuff.merge.totals import LedgerTotals

__all__ = [
    "RULES",
    "Greedy",
    "InstanceEntry",
    "Ledger",
    "LedgerTotals",
    "MergeInputs",
    "Rule",
    "StuffEntry",
    "build_rule",
    "merge",
    "register_rule",
]
