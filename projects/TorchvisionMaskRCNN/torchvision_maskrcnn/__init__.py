"""torchvision's Mask R-CNN as a meta-architecture of Detectron2, and its weights as those of Detectron2's own."""

from torchvision_maskrcnn.anchors import TorchvisionAnchorGenerator
from torchvision_maskrcnn.config import add_torchvision_config
from torchvision_maskrcnn.model import TorchvisionMaskRCNN

__all__ = ["TorchvisionAnchorGenerator", "TorchvisionMaskRCNN", "add_torchvision_config"]
