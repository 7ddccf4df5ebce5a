"""torch.distributed all_reduce over gloo, gradients written anew before each call. One JSON line from rank 0.

    torchrun --nproc-per-node 2 gloo_all_reduce.py --bytes 248024 44695848
"""
import argparse
import json
import time

import torch
import torch.distributed as dist

import gloo_group


def measure(count, repeats, warm_up):
    """Seconds of each call on this rank, from a common start; every call's sum is checked."""
    rank, world = dist.get_rank(), dist.get_world_size()
    pattern = torch.arange(count, dtype=torch.float32).remainder_(1024)
    gradients = torch.empty(count)
    seconds, equal = [], True
    for call in range(warm_up + repeats):
        torch.add(pattern, float(call % 7 + rank), out=gradients)     # as backward would: the cache lines are this rank's
        dist.barrier()
        begin = time.perf_counter()
        dist.all_reduce(gradients)
        seconds.append(time.perf_counter() - begin)
        expected = world * (pattern + float(call % 7)) + world * (world - 1) / 2
        equal = equal and torch.equal(gradients, expected)            # small integers: the float32 sum is exact
    return seconds[warm_up:], equal


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, nargs="+", default=[248024, 44695848])
    parser.add_argument("--repeats", type=int, default=0, help="calls per size; 0: 300 for small buffers, 30 for large")
    parser.add_argument("--brief", action="store_true", help="at most 100 MB and 5 calls per size, for many sizes")
    parser.add_argument("--pin", choices=["none", "all", "main"], default="none")
    options = parser.parse_args()
    torch.set_num_threads(1)
    gloo_group.join(options.pin)

    results = []
    for size in options.bytes:
        repeats = options.repeats or (300 if size < 4 << 20 else 30)
        if options.brief:
            repeats = max(5, min(repeats, (100 << 20) // size))
        seconds, equal = measure(size // 4, repeats, warm_up=5)
        slowest = torch.tensor(seconds, dtype=torch.float64)
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)                # a call is over when the last rank has it
        results.append({"bytes": size, "calls": repeats, "p50": slowest.median().item(), "equal": equal})
    if dist.get_rank() == 0:
        print(json.dumps({"peer": "gloo", "world_size": dist.get_world_size(), "pin": options.pin, "all_reduce": results,
                          "versions": {"torch": torch.__version__}}), flush=True)
    gloo_group.leave()


if __name__ == "__main__":
    main()
