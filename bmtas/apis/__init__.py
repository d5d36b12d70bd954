"""What a program that uses bmtas calls; ``docs/api.md`` shows it at work.

The commands ``compare``, ``sweep``, ``infer``, ``export``, ``bench`` and ``convert`` call it too. A
module is imported when one of its names is first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'bench': ['time_networks'],
        'comparison': [
            'COSTS',
            'compare',
            'comparison_csv',
            'comparison_table',
            'on_front',
        ],
        'deploy': ['export'],
        'eight_bits': ['to_eight_bits'],
        'entries': ['read_entries'],
        'folders': ['load', 'load_model', 'save'],
        'grid': ['make_points', 'parse_grid'],
        'importing': ['convert_backbone', 'convert_bmtas'],
        'inference': ['infer_files', 'predict'],
        'reports': ['report'],
        'runs': ['search', 'test', 'train'],
        'setup': ['Setup'],
        'sources': ['Video', 'find_sources'],
        'sweep': ['job_of', 'run_point'],
    },
)
