"""Bars with the time left, for those who watch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import track


def progress(steps: Iterable[Any], text: str, total: int | None) -> Iterable[Any]:
    """Draw a bar with the time left while the steps are taken; nothing if nobody watches."""
    console = Console(stderr=True)
    return track(
        steps, text, total, console=console, transient=True, disable=not console.is_terminal
    )
