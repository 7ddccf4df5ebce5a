"""Weights out of Lockstep's model.h5 (or a checkpoint) by h5py: group /state_dict, a dataset per tensor, their order in its attribute."""
import h5py


def read_weights(path):
    """{name: array} in state_dict order."""
    with h5py.File(path, "r") as file:
        group = file["state_dict"]
        names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["names"]]
        return {name: group[name][...] for name in names}
