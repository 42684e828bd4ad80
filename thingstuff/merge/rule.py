"""What a merge rule is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from thingstuff.merge.inputs import MergeInputs
from thingstuff.merge.ledger import Ledger
from thingstuff.structures import PanopticMap


@runtime_checkable
class Rule(Protocol):
    """A frozen dataclass of thresholds that refuses impossible ones with ConfigError when it is made."""

    def merge(self, inputs: MergeInputs) -> tuple[PanopticMap, Ledger]:
        """The panoptic map, and one ledger entry an instance and a stuff region. Leaves `inputs` as they are."""
        ...
