"""Lockstep for Python programs: one file, the standard library alone, Python 3.6 and later.

In a training script (the path of this file is on PYTHONPATH in every run):

    from lockstep import Run
    run = Run.get_context()
    run.log("loss", 0.25)

Outside of a run the same lines print what they log and write ./logs and ./outputs. Of several ranks only rank 0 writes,
until another one says run.set_writer(True).
"""
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

__all__ = ["Run", "LockstepError"]


class LockstepError(Exception):
    """What `lockstep` says: one sentence, and a line of what to do where there is one."""


# --- TensorBoard event files: the same bytes as core/event_encoding.cpp writes -------------------------------------

def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _crc32c_table()


def _masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(value):
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(field, value):
    return _varint(field << 3) + _varint(value)


def _bytes(field, data):
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _utf8(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")


def _float32(value):
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", math.copysign(math.inf, value))


def _event(content, step, wall_time):
    event = b"\x09" + struct.pack("<d", wall_time) + (_integer(2, step) if step else b"")
    return event + _bytes(5, _bytes(1, content))


def _scalar(tag, value, step, wall_time):
    return _event(_bytes(1, _utf8(tag)) + b"\x15" + _float32(value), step, wall_time)


def _string(plugin, tag, text, step, wall_time):
    tensor = _integer(1, 7) + _bytes(2, b"") + _bytes(8, _utf8(text))
    metadata = _bytes(1, _bytes(1, plugin)) + _integer(4, 2)
    return _event(_bytes(1, _utf8(tag)) + _bytes(8, tensor) + _bytes(9, metadata), step, wall_time)


def _image(tag, data, width, height, channels, step, wall_time):
    image = _integer(1, height) + _integer(2, width) + _integer(3, channels) + _bytes(4, data)
    return _event(_bytes(1, _utf8(tag)) + _bytes(4, image), step, wall_time)


class _EventFile:
    """A new file for this process; each record is one write()."""

    def __init__(self, directory):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        prefix, second = "events.out.tfevents.", int(time.time())
        for name in os.listdir(directory):  # later than every file there, whatever other hosts' clocks say
            digits = name[len(prefix):].split(".")[0] if name.startswith(prefix) else ""
            if digits.isdigit() and int(digits) < 9999999999:
                second = max(second, int(digits) + 1)
        for number in range(1000):
            name = "%s%010d.%s.%d.%d" % (prefix, second, socket.gethostname(), os.getpid(), number)
            try:
                self._file = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                break
            except FileExistsError:
                continue
        self.pid = os.getpid()
        self.write(b"\x09" + struct.pack("<d", time.time()) + _bytes(3, b"brain.Event:2"))

    def write(self, event):
        length = struct.pack("<Q", len(event))
        record = (length + struct.pack("<I", _masked_crc32c(length)) + event + struct.pack("<I", _masked_crc32c(event)))
        written = os.write(self._file, record)
        if written != len(record):  # half a record would end the file for every reader
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError("the disk is full")


# --- pictures --------------------------------------------------------------------------------------------------------

def _image_size(data):
    """(width, height, channels) of a PNG or JPEG file, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) >= 26:
        width, height = struct.unpack(">II", data[16:24])
        return width, height, {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(data[25], 3)
    at = 2
    while data.startswith(b"\xff\xd8\xff") and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack(">HHB", data[at + 5:at + 10])
            return width, height, channels
        else:
            at += 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
    return None


def _png(width, height, rows):
    """rows: bytes of RGB, one for each row."""
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) & 0xFFFFFFFF)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _draw_confusion(matrix):
    """A square for each number, the bluer the greater its share of its row."""
    cell = 40 if len(matrix) <= 20 else 12 if len(matrix) <= 100 else 4
    rows = []
    for values in matrix:
        total = sum(abs(v) for v in values) or 1
        row = bytearray()
        for value in values:
            share = abs(value) / total
            colour = bytes(round(255 - share * (255 - deepest)) for deepest in (0x1F, 0x4E, 0x9C))
            row += b"\xd0\xd0\xd0" + colour * (cell - 1)
        rows += [b"\xd0\xd0\xd0" * (cell * len(values))] + [bytes(row)] * (cell - 1)
    return _png(cell * len(matrix), cell * len(matrix), rows)


# --- values ----------------------------------------------------------------------------------------------------------

def _number(value):
    """A float for whatever is a number (NumPy's and PyTorch's too), None for a text."""
    if isinstance(value, (str, bytes)) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _cell(value):
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value
    number = _number(value)
    if number is None:
        return str(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _markdown(columns):
    names = list(columns)
    def text(value):
        return ("%.6g" % value if isinstance(value, float) else str(value)).replace("|", "\\|").replace("\n", " ")
    lines = ["|" + "|".join(map(text, names)) + "|", "|---" * len(names) + "|"]
    count = max([len(columns[name]) for name in names] or [0])
    lines += ["|" + "|".join(text(columns[name][i]) for name in names) + "|" for i in range(min(count, 1000))]
    if count > 1000:
        lines.append("\nand %d more rows" % (count - 1000))
    return "\n".join(lines) + "\n"


def _rank():
    """This process' number among the ranks; 0 without any. The order is that of core/rank_environment.cpp."""
    for rank, required in (("OMPI_COMM_WORLD_RANK", None), ("MV2_COMM_WORLD_RANK", None), ("PMI_RANK", None),
                           ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"), ("PMIX_RANK", "PMIX_NAMESPACE"), ("RANK", "WORLD_SIZE")):
        if rank in os.environ and (required is None or required in os.environ):
            return int(os.environ[rank])
    return 0


def _publish(path, text):
    """Temporary file, fsync, rename: a reader sees the old text or the new one."""
    handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _read_object(path):
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except FileNotFoundError:
        return {}
    if not isinstance(value, dict):
        raise LockstepError(path + ": not a JSON object")
    return value


def _program():
    """The program `lockstep`: LOCKSTEP_PROGRAM, beside this file's installation or build, or on PATH."""
    given = os.environ.get("LOCKSTEP_PROGRAM")
    if given:
        return given
    here = os.path.dirname(os.path.abspath(__file__))
    for up in ("..", os.path.join("..", "..", "..")):
        path = os.path.normpath(os.path.join(here, up, "bin", "lockstep"))
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    found = shutil.which("lockstep")
    if not found:
        raise LockstepError("the program lockstep is neither beside %s nor on PATH\n  add its folder to PATH" % here)
    return found


def _lockstep(words, directory=None, parse=True):
    """One call of the program in `directory`: its JSON."""
    try:
        done = subprocess.run([_program()] + [str(word) for word in words], cwd=directory, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    except OSError as error:
        raise LockstepError("cannot start lockstep: %s" % error)
    if done.returncode != 0:
        text = done.stderr.strip()
        raise LockstepError(text[len("lockstep: "):] if text.startswith("lockstep: ") else text)
    for line in done.stderr.splitlines():
        print(line, file=sys.stderr)
    return json.loads(done.stdout) if parse else done.stdout


# --- the run ---------------------------------------------------------------------------------------------------------

_TERMINAL = ("Completed", "Failed", "Canceled")


class Run:
    """A run: from inside the job by get_context(), from outside by open(id)."""

    _context = None

    @classmethod
    def open(cls, run_id="latest", workspace_directory=None):
        """A run of the workspace around that directory (the current one), by its id, a unique part of it, or "latest". It
        logs nothing."""
        found = _lockstep(["show", run_id, "--json"], workspace_directory)
        run = cls.__new__(cls)
        run._set_up(found["directory"], found["id"], found["experiment"])
        run._may_log = False
        run._workspace = found["directory"]
        return run

    def _set_up(self, directory, run_id, experiment):
        self._directory = directory
        self.id = run_id
        self.experiment_name = experiment
        self.offline = run_id == "offline"
        self._may_log = True
        self._workspace = None
        self._writes = True
        self._logs_part = ""
        self._file = None
        self._failed_at = None
        self._warned = False
        self._steps = {}
        self._offline_values = {}
        self._offline_tags = {}
        self._offline_properties = {}

    @classmethod
    def get_context(cls, allow_offline=True):
        """The run that this process belongs to, always the same object. Outside of a run an offline one: it prints what
        it logs and writes ./logs and ./outputs; with allow_offline=False that is an error."""
        if Run._context is not None:
            if Run._context.offline and not allow_offline:
                raise LockstepError("this process belongs to no run\n  start it with `lockstep submit`")
            return Run._context
        directory = os.environ.get("LOCKSTEP_RUN_DIR")
        if not directory and not allow_offline:
            raise LockstepError("this process belongs to no run: LOCKSTEP_RUN_DIR is not set\n  start it with `lockstep submit`")
        run = cls.__new__(cls)
        if directory:
            if not os.path.isabs(directory) or not os.path.isdir(directory):
                raise LockstepError("LOCKSTEP_RUN_DIR is %s, which is no absolute path of a directory here" % directory)
            run._set_up(directory, os.environ.get("LOCKSTEP_RUN_ID") or os.path.basename(directory),
                        os.environ.get("LOCKSTEP_EXPERIMENT") or os.path.basename(os.path.dirname(directory)))
            run._workspace = directory
        else:
            run._set_up(os.getcwd(), "offline", "")
        run._writes = _rank() == 0
        Run._context = run
        return run

    def __repr__(self):
        return "Run(Experiment: %s, Id: %s)" % (self.experiment_name, self.id)

    @property
    def number(self):
        return self.id

    @property
    def directory(self):
        return self._directory

    def set_writer(self, writes=True):
        """Whether this rank logs, tags and adds properties. What a rank other than 0 logs goes to logs/rank_N."""
        self._writes = writes
        rank = _rank()
        self._logs_part = "rank_%d" % rank if writes and rank > 0 else ""

    # Logging ---------------------------------------------------------------------------------------------------------

    def _step(self, name, step, rows=1):
        if step is not None:
            return int(step)
        at = self._steps.get(name, 0)
        self._steps[name] = at + rows
        return at

    def _write(self, *events):
        """Never raises for a full disk: one warning, and the training goes on."""
        if not (self._may_log and self._writes):
            return
        if self._failed_at is not None and time.time() - self._failed_at < 30:
            return
        try:
            if self._file is None or self._file.pid != os.getpid():  # a forked process has a file of its own
                self._file = _EventFile(os.path.join(self._directory, "logs", self._logs_part))
            for event in events:
                self._file.write(event)
        except OSError as error:
            self._failed_at = time.time()
            if not self._warned:
                self._warned = True
                print("lockstep: metrics are lost (%s); training goes on" % error, file=sys.stderr)

    def _say(self, name, value, step, kept):
        if not (self.offline and self._writes):
            return
        self._offline_values.setdefault(name, []).append(kept)
        print("%s = %s (step %d)" % (name, value, step), flush=True)

    def log(self, name, value, description="", step=None):
        """A number (NumPy's and PyTorch's too) or a text. Without a step points count 0, 1, 2, … per name."""
        at = self._step(name, step)
        number = _number(value)
        if number is None:
            self._write(_string(b"text", name, str(value), at, time.time()))
        else:
            self._write(_scalar(name, number, at, time.time()))
        self._say(name, value if number is None else "%.6g" % number, at, value if number is None else number)

    def log_list(self, name, value, description=""):
        for step, item in enumerate(value):
            self.log(name, item, step=step)

    def log_row(self, name, description=None, **columns):
        self._log_columns(name, {key: [value] for key, value in columns.items()})

    def log_table(self, name, value, description=""):
        """value: {column: [values]}, or {column: value} for one row."""
        self._log_columns(name, {key: list(cells) if isinstance(cells, (list, tuple)) or hasattr(cells, "tolist") else [cells]
                                 for key, cells in value.items()})

    def _log_columns(self, name, columns):
        columns = {str(key): [_cell(cell) for cell in cells] for key, cells in columns.items()}
        lengths = {key: len(cells) for key, cells in columns.items()}
        if len(set(lengths.values())) > 1:
            raise LockstepError("the columns of %s differ in length: %s" % (name, lengths))
        rows = max(list(lengths.values()) or [0])
        if rows == 0:
            return
        first, now = self._step(name, None, rows), time.time()
        events = [_string(b"lockstep", "lockstep:" + name, json.dumps({"columns": columns}), first, now)]
        for key, cells in columns.items():
            for i, cell in enumerate(cells):
                number = float(cell) if isinstance(cell, (int, float)) or cell in ("NaN", "Infinity", "-Infinity") else None
                if number is not None:
                    events.append(_scalar(name + "/" + key, number, first + i, now))
        self._write(*(events + [_string(b"text", name, _markdown(columns), first, now)]))
        for i in range(rows):
            row = {key: cells[i] for key, cells in columns.items()}
            self._say(name, row, first + i, row)

    def log_image(self, name, path=None, plot=None, description="", step=None):
        """A PNG or JPEG file, or a figure of matplotlib: exactly one of the two."""
        if (path is None) == (plot is None):
            raise LockstepError("log_image takes a path or a plot, exactly one of them")
        if plot is not None:
            import io
            buffer = io.BytesIO()
            plot.savefig(buffer, format="png")
            data = buffer.getvalue()
        else:
            with open(path, "rb") as file:
                data = file.read()
        size = _image_size(data)
        if size is None:
            raise LockstepError("%s is neither a PNG nor a JPEG file\n  save the picture as one of the two" % path)
        at = self._step(name, step)
        self._write(_image(name, data, size[0], size[1], size[2], at, time.time()))
        self._say(name, "image of %dx%d" % size[:2], at, path or "plot")

    def log_confusion_matrix(self, name, value, description=""):
        """Azure ML's schema, as a dict or its JSON: {"schema_type", "data": {"class_labels", "matrix"}}."""
        chart = self._chart(name, value)
        data = chart.get("data", {})
        labels, matrix = data.get("class_labels", []), data.get("matrix", [])
        if not labels or len(matrix) != len(labels) or any(len(row) != len(labels) for row in matrix):
            raise LockstepError("the confusion matrix %s has %d labels and rows of %s values\n  one row and one column for "
                                "each label" % (name, len(labels), [len(row) for row in matrix]))
        png = _draw_confusion(matrix)
        columns = {"true \\ predicted": labels}
        for i, label in enumerate(labels):
            columns[str(label)] = [row[i] for row in matrix]
        size = _image_size(png)
        at, now = self._step(name, None), time.time()
        self._write(_string(b"lockstep", "lockstep:" + name, json.dumps({"chart": chart}), at, now),
                    _image(name, png, size[0], size[1], 3, at, now),
                    _string(b"text", name + "/table", _markdown(columns), at, now))
        self._say(name, json.dumps(data), at, chart)

    def _chart(self, name, value):
        try:
            chart = json.loads(value) if isinstance(value, (str, bytes)) else value
        except ValueError as error:
            raise LockstepError("the chart %s is no JSON: %s" % (name, error))
        if not isinstance(chart, dict):
            raise LockstepError("the chart %s is no object\n  give Azure ML's schema: schema_type, schema_version, data" % name)
        return chart

    def _log_chart(self, name, value, description=""):
        """Azure ML's schema, as a dict or its JSON; kept as it is."""
        chart = self._chart(name, value)
        at, now = self._step(name, None), time.time()
        self._write(_string(b"lockstep", "lockstep:" + name, json.dumps({"chart": chart}), at, now),
                    _string(b"text", name, "```json\n%s\n```" % json.dumps(chart, indent=2), at, now))
        self._say(name, json.dumps(chart), at, chart)

    log_accuracy_table = log_residuals = log_predictions = _log_chart

    def flush(self, timeout_seconds=300):
        """Nothing to do: each record is written at once."""

    def get_metrics(self, name=None):
        """{name: value}: a number or text logged once, a list of them, {column: [values]} of rows."""
        if self.offline:
            def shape(items):
                if isinstance(items[0], dict) and "schema_type" not in items[0]:
                    return {key: [row.get(key, "") for row in items] for row in items for key in row}
                return items[0] if len(items) == 1 else list(items)
            values = {key: shape(items) for key, items in self._offline_values.items()}
        else:
            values = _lockstep(["metrics", self.id, "--values"], self._workspace)
        return values if name is None else {key: value for key, value in values.items() if key == name}

    # Labels ----------------------------------------------------------------------------------------------------------

    def tag(self, key, value=None):
        self.set_tags({key: "" if value is None else value})

    def set_tags(self, tags):
        if self._writes:
            self._change("tags", lambda known: dict(known, **{str(k): str(v) for k, v in tags.items()}))

    def remove_tags(self, tags):
        names = [tags] if isinstance(tags, str) else list(tags)
        if self._writes:
            self._change("tags", lambda known: {k: v for k, v in known.items() if k not in names})

    def get_tags(self):
        return dict(self._offline_tags) if self.offline else _read_object(os.path.join(self._directory, "tags.json"))

    def add_properties(self, properties):
        """Facts, written once: a key that is there with another value is an error."""
        def add(known):
            for key, value in properties.items():
                if known.setdefault(str(key), str(value)) != str(value):
                    raise LockstepError("the property %s is '%s' already and cannot become '%s'\n  properties are written once; "
                                        "a tag can change" % (key, known[str(key)], value))
            return known
        if self._writes:
            self._change("properties", add)

    def get_properties(self):
        return dict(self._offline_properties) if self.offline else _read_object(os.path.join(self._directory, "properties.json"))

    def _change(self, what, change):
        if self.offline:
            setattr(self, "_offline_" + what, change(dict(getattr(self, "_offline_" + what))))
            return
        path = os.path.join(self._directory, what + ".json")
        _publish(path, json.dumps(change(_read_object(path)), indent=2, ensure_ascii=False) + "\n")

    # Files -----------------------------------------------------------------------------------------------------------

    def get_file_names(self):
        """Of outputs and logs, relative to the run directory, sorted."""
        names = []
        for top in ("outputs", "logs"):
            for folder, _, files in os.walk(os.path.join(self._directory, top)):
                for name in files:
                    path = os.path.join(folder, name)
                    if os.path.isfile(path) and not os.path.islink(path):
                        names.append(os.path.relpath(path, self._directory))
        return sorted(names)

    def download_file(self, name, output_file_path=None):
        """name: as get_file_names() says. output_file_path: a file, or a directory that is there; else here."""
        known = self.get_file_names()
        if name not in known:
            import difflib
            near = difflib.get_close_matches(name, known)
            raise LockstepError("the run has no file %s%s" % (name, "\n  did you mean %s?" % ", ".join(near) if near else ""))
        target = output_file_path or os.path.basename(name)
        if os.path.isdir(target):
            target = os.path.join(target, os.path.basename(name))
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        shutil.copy2(os.path.join(self._directory, name), target)

    def download_files(self, prefix=None, output_directory=None, append_prefix=True):
        for name in self.get_file_names():
            if prefix and not name.startswith(prefix):
                continue
            below = name if append_prefix or not prefix else os.path.relpath(name, prefix if prefix.endswith("/") else prefix)
            if below.startswith("..") or below == ".":
                below = os.path.basename(name)
            self.download_file(name, os.path.join(output_directory or ".", below))

    def get_all_logs(self, destination=None):
        names = [name for name in self.get_file_names() if name.startswith("logs/")]
        for name in names:
            self.download_file(name, os.path.join(destination or ".", name))
        return [os.path.join(destination or ".", name) for name in names]

    def upload_file(self, name, path_or_stream):
        """Copies a file into the run, as `name` below it: outputs/…"""
        target = os.path.normpath(os.path.join(self._directory, name))
        if not target.startswith(os.path.join(os.path.normpath(self._directory), "outputs") + os.sep):
            raise LockstepError("%s is not below outputs\n  write outputs/%s" % (name, os.path.basename(name)))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if hasattr(path_or_stream, "read"):
            with open(target, "wb") as file:
                shutil.copyfileobj(path_or_stream, file)
        else:
            shutil.copy2(path_or_stream, target)

    def upload_folder(self, name, path):
        for folder, _, files in os.walk(path):
            for file in files:
                source = os.path.join(folder, file)
                self.upload_file(os.path.join(name, os.path.relpath(source, path)), source)

    # State -----------------------------------------------------------------------------------------------------------

    def get_details(self):
        return {"runId": self.id, "status": "Running"} if self.offline else _lockstep(["show", self.id, "--json"], self._workspace)

    def get_status(self):
        return self.get_details()["status"]

    def get_portal_url(self):
        return "file://" + self._directory

    def wait_for_completion(self, show_output=False, wait_post_processing=False, raise_on_error=True):
        """Blocks until the run has ended, or nobody looks after it any more. Returns its details."""
        if show_output:
            subprocess.run([_program(), "logs", self.id, "--follow"], cwd=self._workspace, stdin=subprocess.DEVNULL)
        details = self.get_details()
        while details["status"] not in _TERMINAL + ("NotResponding",):
            time.sleep(0.3)
            details = self.get_details()
        if raise_on_error and details["status"] != "Completed":
            cause = details.get("cause") or {}
            raise LockstepError("run %s: %s. %s" % (self.id, details["status"], cause.get("message", "")))
        return details

    def cancel(self):
        _lockstep(["cancel", self.id], self._workspace, parse=False)
