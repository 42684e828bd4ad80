"""The package is found, as for the commands of the project."""

from thingstuff.config.projects import import_project

import_project("SegmentAnything")
