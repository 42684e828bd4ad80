"""The config keys that thingstuff adds to Detectron2's."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_thingstuff_config(cfg: CfgNode) -> None:
    """Add our keys with defaults under which every Detectron2 recipe means what it meant before."""
    # Modules to import before anything is built, so that a user's own registrations are known by name. A function
    # `add_..._config(cfg)` that a module exports, as Detectron2's projects do, is called to add the module's keys.
    cfg.IMPORTS = []
    # Declarations of data sets, YAML files, that are registered before a name in TRAIN or TEST is looked up. A path is
    # relative to the config that states it, or else to the working folder.
    cfg.DATASETS.DECLARE = []
    # Whether the annotations of TRAIN and TEST are checked before a training starts, once for each state of the files.
    cfg.DATASETS.CHECK = True
    # "SGD" as in Detectron2, "ADAMW", which suits small sets and training from scratch, or "ADAM".
    cfg.SOLVER.OPTIMIZER = "SGD"
    # With SOLVER.LR_SCHEDULER_NAME "OneCycleLR": the share of the run in which the rate rises to BASE_LR, and the
    # divisor of BASE_LR at which it begins. It ends at BASE_LR_END.
    cfg.SOLVER.ONE_CYCLE_RISE = 0.25
    cfg.SOLVER.ONE_CYCLE_START_DIVISOR = 25.0
    # What turns a record into a training input, by the name under which it is registered; "" is what the model needs.
    cfg.INPUT.DATASET_MAPPER_NAME = ""
    # How many images of the first test set are drawn beside their truth when a run ends.
    cfg.TEST.PICTURES = 8
    cfg.PANOPTIC = _panoptic_node()


def _panoptic_node() -> CfgNode:
    """Things + stuff: any instance model becomes a panoptic one."""
    node = CfgNode()
    node.ENABLED = False
    # Where stuff comes from: "head", a semantic head on the same features (Panoptic FPN); "model", a second model that
    # was trained alone (STUFF_CONFIG, STUFF_WEIGHTS); "files", label maps that somebody else made (STUFF_DIR).
    node.STUFF = "head"
    node.STUFF_CONFIG = ""
    node.STUFF_WEIGHTS = ""
    node.STUFF_DIR = ""
    # What the numbers in the files of STUFF_DIR mean: "contiguous" (0 = things, 1 = first stuff class, ..., and 255 in
    # an 8-bit or 65535 in a 16-bit file = unlabelled) or "ids" (the data set's ids; STUFF_VOID_IDS = unlabelled).
    node.STUFF_FORMAT = "contiguous"
    node.STUFF_VOID_IDS = [255]
    # The merge rule and its thresholds. One left at None has the value of MODEL.PANOPTIC_FPN.COMBINE.
    node.RULE = "greedy"
    node.OVERLAP_THRESH = None
    node.STUFF_AREA_LIMIT = None  # pixels, or a fraction of the image when below 1
    node.INSTANCES_CONFIDENCE_THRESH = None
    return node
