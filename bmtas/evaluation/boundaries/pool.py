"""Worker processes that start quickly and know nothing of the parent's threads and devices."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Pool of clean processes.

    Forking this process would copy its CUDA context and locks held by threads. A fork server
    imports the packages once for all pools of this process.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['__main__', 'bmtas.evaluation.boundaries'])
    return ProcessPoolExecutor(workers, mp_context=context)
