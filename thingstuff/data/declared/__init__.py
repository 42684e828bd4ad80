"""Data sets that a short YAML file declares: read, checked, prepared for Detectron2, and registered."""
