"""Results as files: one dated JSON with everything, one table for people."""
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

from .place import ROOT


def machine(place):
    return {"processor": _processor(), "cores": len(place.cores), "memory_gb": _memory_gb(), "system": platform.platform(),
            "load_before": os.getloadavg()[0]}


def versions(place):
    import torch

    found = {"python": platform.python_version(), "torch": torch.__version__,
             "mpi": _first_line(["mpirun", "--version"]), "compiler": _first_line(["c++", "--version"]),
             "lockstep": _first_line(["git", "-C", str(pathlib.Path(__file__).parent), "rev-parse", "--short", "HEAD"])}
    if torch.cuda.is_available():
        found["gpu"] = f"{torch.cuda.get_device_name()} (CUDA {torch.version.cuda})"
    return found


def write(folder, command, where, what, results):
    """Returns the paths, of the JSON and of the table first. results: Paired, Limit, or what else has record(); plots() gives SVG texts."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / time.strftime("%Y-%m-%d_%H%M%S")
    document = {"date": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "command": command, "machine": where, "versions": what,
                "results": [result.record() for result in results]}
    stem.with_suffix(".json").write_text(_portable(json.dumps(document, indent=1) + "\n"))
    plots = {folder / f"{stem.name}_{name}.svg": svg
             for result in results if hasattr(result, "plots") for name, svg in result.plots().items()}
    stem.with_suffix(".md").write_text(_portable(table(document, [path.name for path in plots])))
    for path, svg in plots.items():
        path.write_text(svg)
    return [stem.with_suffix(".json"), stem.with_suffix(".md"), *plots]


def _portable(text):
    """Commands as they can be typed in another checkout: where this one lies is nobody's business."""
    text = text.replace(str(ROOT) + "/", "").replace(sys.executable, "python")
    return re.sub(r"/[^ \"]*/lockstep-bench-\w+", "WORK", text)


def table(document, plots=()):
    where, what = document["machine"], document["versions"]
    lines = [f"# Measured on {document['date'][:10]}", "",
             f"`{document['command']}` on {where['processor']}, {where['cores']} cores, {where['memory_gb']} GB "
             f"({where['system']}); load before: {where['load_before']:.1f}.",
             "Versions: " + ", ".join(f"{name} {version}" for name, version in what.items()) + ".", ""]
    paired = [r for r in document["results"] if r["kind"] == "paired"]
    limits = [r for r in document["results"] if r["kind"] == "limit"]
    if paired:
        lines += ["Ratios are the peer's time over ours for neighbours in time, above 1 ours is faster.", "",
                  "| what | peer | pairs | ours, us | peer, us | ratio: median, min .. max | target | equal results |",
                  "|---|---|---|---|---|---|---|---|"]
        lines += [_paired_row(r) for r in paired] + [""]
        lines += [f"- {r['name']} / {r['peer']}: {r['notes']}" for r in paired if r["notes"]] + [""]
    if limits:
        lines += ["| what | measured | limit | met | details |", "|---|---|---|---|---|"]
        lines += [_limit_row(r) for r in limits] + [""]
    for sweep in (r for r in document["results"] if r["kind"] == "sweep"):
        lines += _sweep_table(sweep)
    lines += [f"![{name}]({name})" for name in plots]
    return "\n".join(lines)


def _paired_row(r):
    median = lambda values: sorted(values)[len(values) // 2] * 1e6
    ratio = r["ratio"]
    target = "" if r["target"] is None else f">= {r['target']}: {'met' if r['met'] else 'missed'}"
    equal = {True: "yes", False: "NO", None: "not compared"}[r["equal_results"]] + f" ({r['equality']})"
    return (f"| {r['name']} | {r['peer']} | {r['pairs']} | {median(r['ours_seconds']):,.0f} | {median(r['theirs_seconds']):,.0f} "
            f"| {ratio['median']:.2f}, {ratio['min']:.2f} .. {ratio['max']:.2f} | {target} | {equal} |")


def _limit_row(r):
    limit = "" if r["limit"] is None else f"<= {r['limit']:g} {r['unit']}"
    met = {True: "yes", False: "NO", None: ""}[r["met"]]
    details = "; ".join(f"{name}: {value}" for name, value in r["details"].items())
    if r.get("equal_results") is not None:
        details = f"equal results: {'yes' if r['equal_results'] else 'NO'}; {details}"
    return f"| {r['name']} | {r['value']:.4g} {r['unit']} | {limit} | {met} | {details} |"


def _sweep_table(sweep):
    equal = "every sum checked and equal" if sweep["equal_results"] else "some sums are NOT equal"
    names = [name for name in sweep["rows"][0] if name not in ("bytes", "ratios")]
    bandwidth = "algorithm = bus bandwidth" if sweep["ranks"] == 2 else "algorithm bandwidth"
    lines = [f"{sweep['name']}: microseconds, GB/s ({bandwidth}), and the peer's time over ours; {equal}.", "",
             "| bytes | " + " | ".join(f"{name}, us | GB/s" for name in names) + " | "
             + " | ".join(f"{peer} / ours" for peer in sweep["rows"][0]["ratios"]) + " |",
             "|---" * (1 + 2 * len(names) + len(names) - 1) + "|"]
    for row in sweep["rows"]:
        cells = [f"{row[name]['us']:,.1f} | {row[name]['algorithm_gb_per_s']:.2f}" for name in names]
        lines.append(f"| {row['bytes']:,} | " + " | ".join(cells) + " | " + " | ".join(f"{r:.2f}" for r in row["ratios"].values()) + " |")
    return [*lines, ""]


def _processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gb():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)


def _first_line(argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()[0].strip()
    except (OSError, IndexError):
        return "not found"
