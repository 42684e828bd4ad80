"""thingstuff: a Detectron2-based research toolkit for instance and panoptic segmentation."""

import re
import shutil
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithRecipes(build_py):
    """Copies `configs/` into the package, so that `thingstuff://NAME` works from an installed wheel too."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "thingstuff" / "configs"
            shutil.copytree(HERE / "configs", target, dirs_exist_ok=True)


setup(
    name="thingstuff",
    version=re.search(r'__version__ = "(.+)"', (HERE / "thingstuff/__init__.py").read_text())[1],
    description="Instance and panoptic segmentation with Detectron2 on today's PyTorch",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_namespace_packages(include=["thingstuff", "thingstuff.*"]),
    package_data={
        "thingstuff.report.page": ["*.j2", "*.css", "*.js"],
        "thingstuff.modeling.inference.native": ["*.c", "*.h"],
    },
    cmdclass={"build_py": BuildWithRecipes},
    install_requires=[
        "torch>=2.11",
        "torchvision>=0.26",
        "numpy>=1.26",
        "opencv-python-headless>=4.8",
        "pillow>=10",
        "pycocotools>=2.0.8",
        "hotcoco>=1.3,<2",
        "safetensors>=0.4",
        "fvcore>=0.1.5.post20221221",
        "iopath>=0.1.10",
        "pyyaml>=6",
        "shapely>=2",
        "tabulate>=0.9",
        "jinja2>=3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        "boundary": ["vernier>=0.5.4,<0.6"],
        "sam": ["transformers>=4.56"],
        "export": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5"],
        "ray": ["ray[data]>=2.60"],
        "yolo": ["ultralytics>=8.3.253"],  # under the AGPL-3.0; only projects/YOLOSeg imports it
        "dev": ["pytest>=8", "pytest-xdist>=3.5", "ruff>=0.15", "mypy>=1.15", "types-PyYAML", "playwright>=1.45"],
    },
    entry_points={"console_scripts": ["thingstuff = thingstuff.cli.main:main"]},
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
