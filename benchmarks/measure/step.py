"""The training step of the tutorial's network against PyTorch eager, DistributedDataParallel, mpi4py, and LibTorch with MPI by hand.

Every process trains the same steps from the same weights; its figure is the median step time after warm-up, so neither its
start nor its import of a framework counts. Results are compared with one more run of the peer, which is not timed: its fused
SGD rounds in another way than its default one, and 600 steps can turn that into 2e-3 of a weight in PyTorch alone.
"""
import shlex
import sys

from . import pairs, training

# Of final weights. With the default form of SGD the bits are the same as a rule.
TOLERANCE = 1e-5

# lockstep-train is linked with tcmalloc; PyTorch's tuning guide recommends to preload it.
MALLOC = [[], ["LD_PRELOAD=libtcmalloc_minimal.so.4"]]


def with_malloc(variants):
    return [[*variant, *malloc] for variant in variants for malloc in MALLOC]


PUBLISHED = [["--optimizer", "default"]]
TUNED = with_malloc([["--optimizer", form] for form in ("foreach", "fused")])
PINNING = with_malloc([["--pin", where] for where in ("none", "all", "main")])
FLATNESS = with_malloc([[], ["--flat-parameters"]])
BY_HAND = [[program, *flat] for program in ("libtorch_mpi", "libtorch_mpi_glibc") for flat in ([], ["--flat-parameters"])]


def measure(place, options):
    task = training.Task(place, options.steps)
    place.say(f"step: {task.origin}, {task.steps} steps per process, {options.pairs} pairs")
    eager = [*place.one_core(), sys.executable]
    results = [_pair(task, options, "1 rank, batch 4", peer, "pytorch_eager.py", eager, forms, ranks=1, batch=4, target=1.6)
               for peer, forms in (("PyTorch eager as published", PUBLISHED), ("PyTorch eager tuned", TUNED))]
    for batch, against_ddp, against_mpi4py, by_hand in ((4, 2.7, 1.6, 1.1), (32, 1.4, 1.15, 1.0)):
        name = f"2 ranks, batch {batch} per rank"
        results.append(_pair(task, options, name, "PyTorch DDP gloo, tuned", "pytorch_ddp.py", place.torchrun(2), PINNING,
                             ranks=2, batch=batch, target=against_ddp))
        results.append(_pair(task, options, name, "mpi4py, flat gradients", "mpi4py_flat.py",
                             [*place.mpirun(2), sys.executable], FLATNESS, ranks=2, batch=batch, target=against_mpi4py))
        results.append(_pair_by_hand(task, options, name, batch, by_hand))
    return results


def _pair(task, options, name, peer, script, start, variants, ranks, batch, target):
    task.place.say(f"{name}, against {peer}")
    run_peer = lambda variant: task.run_peer(script, start, batch, variant)
    variant, trial_times = pairs.fastest(variants, run_peer, task.place.say)
    samples = pairs.alternate(lambda: task.run_ours(ranks, batch), lambda: run_peer(variant), options.pairs, task.place.say)
    largest = training.weight_difference(samples[0][-1].result, run_peer([*variant, "--optimizer", "default"]).result)
    return pairs.Paired(
        name=f"step of cifar_net, {name}", peer=f"{peer} {' '.join(variant)}".strip(), target=target,
        ours=[s.seconds for s in samples[0]], theirs=[s.seconds for s in samples[1]],
        equal=largest <= TOLERANCE, equality=f"final weights differ by at most {largest:.1e} of a tensor's largest",
        commands={"ours": shlex.join(map(str, task.ours(ranks, batch))),
                  "peer": shlex.join(map(str, task.peer(script, start, batch, variant)))},
        notes=trial_times)


def _pair_by_hand(task, options, name, batch, target):
    peer = "LibTorch C++, flat gradients, MPI_Allreduce"
    task.place.say(f"{name}, against {peer}")
    run_peer = lambda variant: task.run_libtorch(variant[0], 2, batch, variant[1:])
    variant, trial_times = pairs.fastest(BY_HAND, run_peer, task.place.say)
    samples = pairs.alternate(lambda: task.run_ours(2, batch), lambda: run_peer(variant), options.pairs, task.place.say)
    largest = training.weight_difference(samples[0][-1].result, samples[1][-1].result)
    return pairs.Paired(
        name=f"step of cifar_net, {name}", peer=f"{peer}: {' '.join(variant)}", target=target,
        ours=[s.seconds for s in samples[0]], theirs=[s.seconds for s in samples[1]],
        equal=largest <= TOLERANCE, equality=f"final weights differ by at most {largest:.1e} of a tensor's largest",
        commands={"ours": shlex.join(map(str, task.ours(2, batch))),
                  "peer": shlex.join(map(str, task.libtorch(variant[0], 2, batch, variant[1:])))},
        notes=trial_times)
