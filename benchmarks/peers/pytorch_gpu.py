"""PyTorch on one GPU, eager or compiled, with fused SGD; its batches lie on the GPU before the first step. One JSON line.

    python pytorch_gpu.py --workload resnet50 --batch-size 128 --precision bf16 --mode reduce-overhead
"""
import argparse
import contextlib
import json
import time

import numpy
import torch

import workloads


def parse():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--workload", choices=workloads.WORKLOADS, required=True)
    p.add_argument("--batch-size", type=int, required=True)
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--mode", choices=["eager", "default", "reduce-overhead", "max-autotune-no-cudagraphs"], default="eager",
                   help="eager, or the mode of torch.compile")
    p.add_argument("--device", default="cuda")
    p.add_argument("--steps", type=int, default=200)
    p.add_argument("--warm-up", type=int, default=40, help="steps before the timed ones, compilation among them")
    p.add_argument("--output", help="final weights as .npz")
    return p.parse_args()


def main():
    options = parse()
    net, batches = workloads.make(options.workload, options.batch_size, 0)
    net.to(options.device)
    batches = [(inputs.to(options.device), targets.to(options.device)) for inputs, targets in batches]
    criterion = workloads.loss(options.workload)
    # As engine/workload.h.
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, fused=True)

    def loss_of(inputs, targets):
        narrow = options.precision == "bf16"
        with torch.autocast(options.device, torch.bfloat16) if narrow else contextlib.nullcontext():
            logits = net(inputs)
        return criterion(logits.float(), targets)

    forward = loss_of if options.mode == "eager" else torch.compile(loss_of, mode=options.mode)

    def run(first, count):
        for number in range(first, first + count):
            optimizer.zero_grad(set_to_none=True)
            loss = forward(*batches[number % len(batches)])
            loss.backward()
            optimizer.step()
        return loss.item()                          # waits for the device

    run(0, options.warm_up)
    begin = time.perf_counter()
    loss = run(options.warm_up, options.steps)
    seconds = (time.perf_counter() - begin) / options.steps
    if options.output:
        numpy.savez(options.output, **{name: value.detach().float().cpu().numpy() for name, value in net.state_dict().items()})
    print(json.dumps({"peer": f"pytorch {options.mode}", "step_seconds": seconds, "loss": loss}), flush=True)


if __name__ == "__main__":
    main()
