"""bmtas: branched multi-task networks under a compute budget.

Nothing heavy is imported here; import the rooms you need (``bmtas.branching``, ``bmtas.models``).
"""

__version__ = '0.2.0'
