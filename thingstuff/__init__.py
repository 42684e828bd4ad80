"""thingstuff: instance and panoptic segmentation with Detectron2. A panoptic picture is things plus stuff."""
