"""Weights out of Lockstep's model.h5 (or a checkpoint) by h5py: group /state_dict, a dataset per tensor, their order in /names."""
import h5py


def read_weights(path):
    """{name: array} in state_dict order."""
    with h5py.File(path, "r") as file:
        group = file["state_dict"]
        return {name: group[name][...] for name in file["names/state_dict"].asstr()[()]}
