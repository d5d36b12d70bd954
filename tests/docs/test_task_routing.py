"""The training loop in docs/task_routing.md runs and learns."""

import re

import torch


def test_the_ten_lines_of_the_docs_learn(request):
    text = (request.config.rootpath / 'docs' / 'task_routing.md').read_text()
    (code,) = re.findall(r'```python\n(.*?)```', text, re.S)
    torch.manual_seed(0)
    # task t: is colour channel t bright
    images = torch.rand(400, 32, 3, 1, 1).expand(-1, -1, -1, 8, 8) + 0.1 * torch.randn(
        400, 32, 3, 8, 8
    )
    batches = [(x, (x.mean((2, 3)) > 0.5).long()) for x in images]
    scope = {'batches': batches}
    exec(compile(code, 'docs/task_routing.md', 'exec'), scope)
    model, x, labels = scope['model'].train(), images[0], batches[0][1]
    right = []
    for task, branch in enumerate(scope['branches']):
        with torch.no_grad(), scope['active_task'](model, task):
            right.append((branch(model(x)).argmax(1) == labels[:, task]).float().mean())
    assert min(right) > 0.8
