"""The site builds without a warning, and its generated pages hold what the code says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    pytest.importorskip('mkdocs', reason="the site needs pip install '.[docs]'")
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-q', '-d', str(tmp_path)]
    env = dict(os.environ, NO_MKDOCS_2_WARNING='1')
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert built.returncode == 0 and 'WARNING' not in built.stderr, built.stderr
    components = (tmp_path / 'reference' / 'components.html').read_text()
    for name in ('GradientSearch', 'ShapeScenes', 'BoundaryFMeasure', 'category'):
        assert f'id="{name.lower()}"' in components, name
    assert 'id="setup"' in (tmp_path / 'reference' / 'api.html').read_text()
    assert 'bmtas search [-h]' in (tmp_path / 'reference' / 'commands.html').read_text()


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / 'README.md').read_text()
    assert len(text) < 6600
    pages = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('*.md')]
    for page in pages:
        prose = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
        for link in re.findall(r'\]\(([^)#]+)\)', prose):
            if not link.startswith(('http', 'reference/')):
                assert (page.parent / link).exists(), (page.name, link)


def test_paths_in_the_text_exist():
    for page in [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('*.md')]:
        for path in re.findall(r'`((?:bmtas|tests|configs|benchmarks)/[\w/.]+)`', page.read_text()):
            there = (ROOT / path).exists() or (ROOT / f'configs/{path}.py').exists()
            assert there, (page.name, path)
