"""Two programs in turns, A B A B …: a machine's speed drifts by more than the differences looked for, neighbours share its mood."""
import dataclasses
import statistics


@dataclasses.dataclass
class Sample:
    seconds: float              # what is compared, for example the median step time of one process
    result: object = None       # what the process computed, to be compared with the other's


@dataclasses.dataclass
class Paired:
    """ours, theirs: seconds by pair. A ratio above 1 says that ours is faster."""
    name: str
    peer: str
    target: float | None        # the ratio aimed at
    ours: list[float]
    theirs: list[float]
    equal: bool | None          # None: the two compute nothing that could be compared
    equality: str               # what "equal" means, with the largest difference seen
    commands: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: str = ""

    @property
    def ratios(self):
        return [theirs / ours for ours, theirs in zip(self.ours, self.theirs)]

    @property
    def median_ratio(self):
        return statistics.median(self.ratios)

    @property
    def met(self):
        return None if self.target is None else self.median_ratio >= self.target and self.equal is not False

    def record(self):
        return {"kind": "paired", "name": self.name, "peer": self.peer, "pairs": len(self.ours),
                "ratio": {"median": self.median_ratio, "min": min(self.ratios), "max": max(self.ratios)},
                "target": self.target, "met": self.met, "equal_results": self.equal, "equality": self.equality,
                "ours_seconds": self.ours, "theirs_seconds": self.theirs, "commands": self.commands, "notes": self.notes}


@dataclasses.dataclass
class Limit:
    """One quantity with a limit and no peer, for example the time of `lockstep --help`."""
    name: str
    value: float
    unit: str
    limit: float | None
    values: list[float] = dataclasses.field(default_factory=list)
    details: dict = dataclasses.field(default_factory=dict)
    equal: bool | None = None   # whether what is compared computed the same; None: there is nothing to compare

    @property
    def met(self):
        return None if self.limit is None else self.value <= self.limit and self.equal is not False

    def record(self):
        return {"kind": "limit", "name": self.name, "value": self.value, "unit": self.unit, "limit": self.limit,
                "met": self.met, "values": self.values, "details": self.details, "equal_results": self.equal}


def alternate(ours, theirs, pairs, say):
    """ours, theirs: functions that run one process and return its Sample. Which one begins changes with every pair."""
    samples = ([], [])
    for pair in range(pairs):
        for side in ((0, 1), (1, 0))[pair % 2]:
            samples[side].append((ours, theirs)[side]())
        a, b = samples[0][-1].seconds, samples[1][-1].seconds
        say(f"  pair {pair + 1}/{pairs}: ours {a * 1e6:,.0f} us, peer {b * 1e6:,.0f} us, ratio {b / a:.2f}")
    return samples


def fastest(variants, run, say):
    """The variant (a list of options) with which the peer is fastest in one trial each, and a sentence with the trials' times."""
    if len(variants) == 1:
        return variants[0], ""
    trials = {" ".join(variant) or "default": run(variant).seconds for variant in variants}
    best = min(variants, key=lambda variant: trials[" ".join(variant) or "default"])
    sentence = "one trial of each variant of the peer: " + ", ".join(f"{v} {s * 1e6:,.0f} us" for v, s in trials.items())
    say("  " + sentence)
    return best, sentence
