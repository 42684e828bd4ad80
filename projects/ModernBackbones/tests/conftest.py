"""The package is found, as a config that names the project finds it."""

from thingstuff.config.projects import import_project

import_project("ModernBackbones")
