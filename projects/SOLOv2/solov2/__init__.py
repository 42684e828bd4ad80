"""SOLOv2 on Detectron2's FPN backbones: a config with `PROJECT: SOLOv2` names its meta-architecture `SOLOv2`."""

from solov2.config import add_solov2_config
from solov2.model import SOLOv2

__all__ = ["SOLOv2", "add_solov2_config"]
