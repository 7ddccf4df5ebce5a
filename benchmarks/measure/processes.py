"""What /proc says about running processes: memory, and who is whose child."""
import pathlib


def children(pid, name):
    """Pids of all descendants of `pid` whose program is `name`."""
    parents = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text()
            except OSError:
                continue                    # it ended meanwhile
            program, rest = fields[fields.index("(") + 1:].rsplit(")", 1)
            parents[int(folder.name)] = (program, int(rest.split()[1]))
    return [p for p, (program, _) in parents.items() if program == name[:15] and _descends(p, pid, parents)]


def _descends(pid, ancestor, parents):
    while pid in parents:
        pid = parents[pid][1]
        if pid == ancestor:
            return True
    return False


def rss_bytes(pid):
    """The resident set now and at its largest so far, mapped files included. ValueError when the process is ending."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return _kilobytes(text, "VmRSS:"), _kilobytes(text, "VmHWM:")


def anonymous_bytes(pid):
    """The resident set without files and memory shared with others: what a leak makes grow."""
    return _kilobytes(pathlib.Path(f"/proc/{pid}/status").read_text(), "RssAnon:")


def file_mapping_bytes(pid, path):
    """(resident, proportional) bytes of the mappings of one file; pages shared by k processes count 1/k in the second."""
    resident = proportional = 0
    inside = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line[:1] in "0123456789abcdef":
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            resident += int(line.split()[1]) * 1024
        elif inside and line.startswith("Pss:"):
            proportional += int(line.split()[1]) * 1024
    return resident, proportional


def _kilobytes(text, key):
    for line in text.splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {key} in /proc")
