"""The package of the project, importable by its tests."""

from thingstuff.config.projects import import_project

import_project("RoIPool")
