"""Pages that are generated when the site is built: components of configs, program interface.

A hook of mkdocs. Names, defaults and types come from the signatures, the text from the docstrings.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from mkdocs.structure.files import File

SECTIONS = ('Args', 'Attributes', 'Returns', 'Yields', 'Raises', 'Fields', 'Class attributes')
REGISTRIES = {
    'KINDS': 'Kinds of labels (`tasks.NAME.kind`)',
    'MODELS': 'Models, encoders, backbones, heads, losses (`model`, `tasks.NAME.loss`)',
    'DATASETS': 'Data sets (`*_dataloader.dataset`)',
    'TRANSFORMS': 'Transforms (`pipeline`)',
    'DATA_SAMPLERS': 'Samplers (`*_dataloader.sampler`)',
    'METRICS': 'Metrics (`tasks.NAME.metric`)',
    'STRATEGIES': 'Search strategies (`search`)',
    'LOOPS': 'Loops (`train_cfg`)',
    'HOOKS': 'Hooks (`custom_hooks`)',
    'OPTIM_WRAPPERS': 'Optimizer wrappers (`optim_wrapper`)',
    'OPTIM_WRAPPER_CONSTRUCTORS': 'Optimizer constructors (`optim_wrapper.constructor`)',
    'LOG_PROCESSORS': 'Log processors (`log_processor`)',
}
PLUG_INS = ('bmtas.ncp', 'bmtas.task_routing', 'bmtas.sharing')


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    pages = {'components.md': components, 'api.md': interface, 'commands.md': commands}
    for path, make in ((f'reference/{name}', make) for name, make in pages.items()):
        files.append(File.generated(config, path, content=make()))
    return files


def components() -> str:
    """Every class that a config can name, by registry."""
    import importlib

    from bmtas import registry

    for name in PLUG_INS:
        importlib.import_module(name)
    lines = [
        '# Components of configs',
        'Everything that a `dict(type=...)` can name, with its arguments. Those of `bmtas.ncp`, '
        '`bmtas.task_routing` and `bmtas.sharing` need `custom_imports` with that module.',
    ]
    for name, title in REGISTRIES.items():
        found = getattr(registry, name)
        found.import_from_location()
        lines.append(f'## {title}')
        for key, target in sorted(found.module_dict.items()):
            lines += describe(key, target, 3)
    return '\n\n'.join(lines) + '\n'


def interface() -> str:
    """What ``bmtas.apis`` and the other rooms with a face for programs export."""
    import importlib

    lines = ['# Program interface']
    for room in ('bmtas.apis', 'bmtas.branching', 'bmtas.resources', 'bmtas.kinds', 'bmtas.tasks'):
        module = importlib.import_module(room)
        lines += [f'## {room}', inspect.getdoc(module) or '']
        names = getattr(module, '__all__', None) or [
            n
            for n, v in vars(module).items()
            if getattr(v, '__module__', '') == room and n[0] != '_'
        ]
        for name in sorted(names):
            target = getattr(module, name)
            if callable(target):
                lines += describe(name, target, 3)
    return '\n\n'.join(lines) + '\n'


def commands() -> str:
    """What ``--help`` of every sub-command says."""
    from bmtas.cli import COMMANDS, _module, help_text

    pages = ['# Command line', f'```text\n{help_text()}\n```']
    for name in COMMANDS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            _module(name).main(['--help'])
        pages += [f'## bmtas {name}', f'```text\n{out.getvalue()}```']
    return '\n\n'.join(pages) + '\n'


def describe(name: str, target: Any, level: int) -> Iterator[str]:
    """Heading, signature and docstring of a class or function; public methods of a class."""
    yield f'{"#" * level} {name}'
    origin = f'{target.__module__}.{getattr(target, "__qualname__", name)}'
    yield f'<small>`{origin}`</small>'
    yield f'```python\n{signature(name, target)}\n```'
    yield docstring(target)
    if level == 3 and inspect.isclass(target) and target.__module__.startswith('bmtas.branching'):
        for key, value in vars(target).items():
            if key[0] != '_' and inspect.getdoc(value):
                yield f'**`{name}.{key}`**: {docstring(value)}'


def signature(name: str, target: Callable) -> str:
    """One argument a line where it would be long."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return f'{name}(...)'
    # annotations are text and would stand in quotes
    words = [re.sub(r": '([^']*)'", r': \1', str(p)) for p in parameters]
    whole = f'{name}({", ".join(words)})'
    if len(whole) <= 90:
        return whole
    inside = ''.join(f'    {word},\n' for word in words)
    return f'{name}(\n{inside})'


def docstring(target: Any) -> str:
    """A docstring in Google style as Markdown: sections become lists."""
    text = inspect.getdoc(target) or ''
    out: list[str] = []
    section = False
    for line in text.split('\n'):
        heading = line.rstrip(':')
        if line.endswith(':') and heading in SECTIONS:
            out += ['', f'**{heading}**', '']
            section = True
        elif section and (found := re.match(r'    ([\w`*., ()/|]+?):(?: (.*)|$)', line)):
            out.append(f'- `{found[1].strip("`")}`: {found[2] or ""}')
        elif section and line.startswith('    '):
            # the rest of an entry, or a section that is a text
            out.append(('  ' if out and out[-1] else '') + line.strip())
        else:
            section = section and not line.strip()
            out.append(line)
    return re.sub(r'``([^`]+)``', r'`\1`', '\n'.join(out))
