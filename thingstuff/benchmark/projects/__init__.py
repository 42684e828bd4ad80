"""The table of projects: each trained for the same time and measured in the same way, beside a Mask R-CNN."""
