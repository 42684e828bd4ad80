"""Detectron2 models made fast for prediction: the same structure and answers, other arithmetic underneath."""
