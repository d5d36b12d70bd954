"""Which folders become packages: bmtas, and configs as bmtas.configs. The rest: pyproject.toml."""

from setuptools import find_namespace_packages, find_packages, setup

configs = ['bmtas.configs', *(f'bmtas.configs.{p}' for p in find_namespace_packages('configs'))]
setup(
    packages=[*find_packages(include=['bmtas', 'bmtas.*']), *configs],
    package_dir={'bmtas.configs': 'configs'},
    package_data={'bmtas.apis.reports': ['*.html', '*.css', '*.js']},
)
