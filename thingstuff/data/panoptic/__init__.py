"""COCO panoptic truth: made of parts and taken apart, and in the other forms that panopticapi knows."""
