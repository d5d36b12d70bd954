"""What a program that uses bmtas calls; ``docs/api.md`` shows it at work."""

from bmtas.apis.comparison import compare
from bmtas.apis.deploy import export_model as export
from bmtas.apis.folders import load, save
from bmtas.apis.inference import load_model, predict
from bmtas.apis.reports import write_report as report
from bmtas.apis.runs import search, test, train
from bmtas.apis.setup import Setup

__all__ = [
    'Setup',
    'compare',
    'export',
    'load',
    'load_model',
    'predict',
    'report',
    'save',
    'search',
    'test',
    'train',
]
