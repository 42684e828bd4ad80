"""SAM and SAM 2 from local weights: masks for boxes, for points, or for a grid of points over the whole image."""
