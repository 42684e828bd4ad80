"""The config keys that thingstuff adds to Detectron2's."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_thingstuff_config(cfg: CfgNode) -> None:
    """Add our keys with defaults under which every Detectron2 recipe means what it meant before."""
    # Modules to import before anything is built, so that a user's own registrations are known by name. A function
    # `add_..._config(cfg)` that a module exports, as Detectron2's projects do, is called to add the module's keys.
    cfg.IMPORTS = []
    # A folder of `projects/` whose package is imported in the same way: an idea with models of its own.
    cfg.PROJECT = ""
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
    _add_solver_config(cfg.SOLVER)
    _add_model_config(cfg.MODEL)
    _add_input_config(cfg.INPUT)
    _add_test_config(cfg.TEST)
    # What turns a record into a training input, by the name under which it is registered; "" is what the model needs.
    cfg.INPUT.DATASET_MAPPER_NAME = ""
    cfg.PANOPTIC = _panoptic_node()


def _add_solver_config(solver: CfgNode) -> None:
    # The number of images in a batch that BASE_LR was found for: with another IMS_PER_BATCH the rate changes in
    # proportion ("linear"), or with its square root ("sqrt"). 0: BASE_LR is used as it is.
    solver.REFERENCE_BATCH = 0
    solver.RATE_SCALING = "linear"
    # How often each image is seen. Above 0 it sets MAX_ITER, and STEPS and WARMUP_ITERS move along.
    solver.EPOCHS = 0.0
    # A batch is computed in this many parts, one after the other, and their gradients are averaged.
    solver.MICRO_BATCHES = 1
    # With SOLVER.AMP.ENABLED: "bf16", "fp16", or "auto", bf16 where the device can compute in it.
    solver.AMP.PRECISION = "auto"
    # A mean of the weights over the steps, which is evaluated and saved in place of the last ones. 0: none.
    solver.EMA_DECAY = 0.0
    # A loss that is no number: "skip" the step, up to BAD_LOSS_LIMIT times in a row, or "stop". The batch is saved.
    solver.ON_BAD_LOSS = "skip"
    solver.BAD_LOSS_LIMIT = 5
    # How many periodic checkpoints stay, the newest; 0: all. The best one and the final weights stay anyway.
    solver.CHECKPOINTS_KEPT = 0
    # Also write the final weights as model_final.safetensors.
    solver.SAFETENSORS = False
    # The same numbers in every run, at some cost in time on a GPU.
    solver.DETERMINISTIC = False


def _add_model_config(model: CfgNode) -> None:
    # Heads whose number of classes differs from that in MODEL.WEIGHTS start anew, and a line says which; otherwise
    # such weights are refused. A declared data set turns it on.
    model.REINIT_HEADS = False
    # Anchor sizes and aspect ratios from the boxes of the training set, as they are after resizing.
    model.ANCHOR_GENERATOR.FROM_DATA = False
    # The layout of images in memory in which convolutions are fastest on most devices; results differ by rounding.
    model.CHANNELS_LAST = False
    # torch.compile for the backbone, which takes its time for every size of image.
    model.COMPILE_BACKBONE = False


def _add_input_config(inputs: CfgNode) -> None:
    # Large-scale jitter: an image is scaled by a factor between MIN_SCALE and MAX_SCALE of SIZE, and cut or padded to
    # SIZE x SIZE pixels. It takes the place of MIN_SIZE_TRAIN and the crop.
    inputs.JITTER = CfgNode({"ENABLED": False, "SIZE": 1024, "MIN_SCALE": 0.1, "MAX_SCALE": 2.0})
    # Instances of another image are pasted with this PROBABILITY, each with the chance SHARE. FAVOUR_SMALL weighs them
    # by size. What they cover is cut from masks, stuff and segments; an instance that keeps less than MIN_VISIBLE of
    # its area is left out.
    inputs.COPY_PASTE = CfgNode(
        {"ENABLED": False, "PROBABILITY": 0.5, "SHARE": 0.5, "FAVOUR_SMALL": False, "MIN_VISIBLE": 0.1}
    )
    # The most pixels of a training image; a larger one is made smaller. 0: no limit; -1: what the memory allows.
    inputs.MAX_PIXELS = 0


def _add_test_config(test: CfgNode) -> None:
    # How a model computes when it predicts: "exact", every number Detectron2's; "fp32", folded and fused, the same but
    # for rounding; "fast", in bf16 or fp16 where the device has instructions for it.
    test.MODE = "exact"
    # How many images of the first test set are drawn beside their truth when a run ends.
    test.PICTURES = 8
    # The losses on the first LOSS_IMAGES images of the first test set, every LOSS_PERIOD steps. 0: never.
    test.LOSS_PERIOD = 0
    test.LOSS_IMAGES = 200
    # By which number the best checkpoint is chosen, as "segm/AP", "panoptic_seg/PQ", "sem_seg/mIoU" or
    # "validation_loss"; "": none is. After PATIENCE evaluations without a better one the training ends; 0: never.
    test.BEST_METRIC = ""
    test.PATIENCE = 0
    # Prediction of large images in square tiles of SIZE pixels; 0: as a whole. Neighbours share OVERLAP, a share of the
    # tile below 1 or pixels. Detections of two tiles are one object from the IoU JOIN_IOU of what lies in both. Files
    # of up to MAX_PIXELS are read then.
    test.TILES = CfgNode({"SIZE": 0, "OVERLAP": 0.25, "JOIN_IOU": 0.5, "MAX_PIXELS": 1 << 30})


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
