import numpy as np

from bmtas.datasets.shapescenes import ShapeScenes


def test_things_stand_on_the_floor_inside_the_room():
    dataset = ShapeScenes(length=40)
    for index in range(40):
        scene = dataset.scene(index)
        world, room = scene.world, scene.world.room
        inside = (room.turn @ (world.centre - room.centre).T).T
        assert (np.abs(inside) < room.half).all()
        for name in range(int(scene.instance[-3])):
            members = np.flatnonzero(scene.instance[:-3] == name)
            assert (world.centre - world.ball_radius[:, None])[members, 2].min() < 1.2
