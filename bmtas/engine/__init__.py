"""How a run proceeds: configs, loops, hooks, optimizers, checkpoints, distribution.

A module is imported when one of its names is first asked for, so that help needs no torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        'build': ['build_runner', 'check_data', 'config_from_args', 'require', 'resource_table'],
        'building': ['explained'],
        'checkpoint': ['checkpoints_of'],
        'clusters': ['Template'],
        'config': ['dataset_parts', 'load_config', 'select_tasks', 'with_pipeline'],
        'config_check': ['check_config'],
        'config_file': ['parse_config'],
        'config_keys': ['add_section'],
        'dist': ['init_distributed', 'unwrap'],
        'executors': [
            'PROGRAM',
            'Executor',
            'Here',
            'Job',
            'job_environment',
            'make_executor',
        ],
        'identity': ['first_difference', 'identity_of'],
        'jobs': ['run_jobs'],
        'load': ['load_model', 'trained_model'],
        'log_losses': ['LogLosses', 'SmoothedLogs', 'elasticities_of'],
        'record': ['COMMANDS', 'environment', 'read_lines', 'record_command'],
        'results': ['RESULTS', 'plain_number', 'results_of'],
        'runner': ['MultiTaskRunner'],
        'seeding': ['Purpose', 'gumbel_generator', 'position_rng', 'position_seed'],
        'shipped': ['CONFIGS', 'config_names', 'find_config'],
        'test': ['mean_losses', 'run_test'],
        'train': ['run_training', 'set_routes'],
        'updates': [
            'active_tasks',
            'average_gradients',
            'is_labelled',
            'reported',
            'step_weights',
            'summed_losses',
        ],
        'work_dir': ['RUN', 'WorkDir'],
    },
)
