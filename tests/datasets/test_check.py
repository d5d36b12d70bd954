from bmtas.datasets import NYUD, PascalContext


def test_sizes_of_the_images_of_published_sets():
    pascal, nyud = object.__new__(PascalContext), object.__new__(NYUD)
    assert pascal.size_problems({(375, 500), (500, 333), (400, 480)}) == []
    assert pascal.size_problems({(187, 250), (250, 166)}) == [
        'the longest side of the images is 250, that of the archive 500'
    ]
    assert nyud.size_problems({(425, 560)}) == nyud.size_problems({(480, 640)}) == []
    assert 'images of 2 sizes' in nyud.size_problems({(425, 560), (480, 640)})[0]
