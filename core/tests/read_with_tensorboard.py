"""Checks our event files against TensorBoard's own reader, and our reader against TensorBoard's own writer.

    python read_with_tensorboard.py EVENT_FILE_TOOL

Ends with 0 when every scalar, step, wall time and text is equal in both directions.
"""
import io
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import PIL.Image
from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer import event_file_writer
from tensorboard.util import tensor_util


def run_tool(tool, mode, directory):
    """The tool's lines as (kind, tag, step, wall_time, value)."""
    done = subprocess.run([tool, mode, directory], capture_output=True, text=True, check=True)
    assert done.stderr == "", done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(e["kind"], e["tag"], e["step"], e["wall_time"], e["value"]) for e in lines]


def float32(value):
    with np.errstate(over="ignore"):
        return float(np.float32(float(value)))


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


def compare_scalars(expected, seen):
    assert len(expected) == len(seen) > 0, (len(expected), len(seen))
    for (_, tag, step, wall_time, value), (tag2, step2, wall_time2, value2) in zip(expected, seen):
        assert (tag, step, wall_time) == (tag2, step2, wall_time2), ((tag, step, wall_time), (tag2, step2, wall_time2))
        assert same(float32(value), value2), (tag, step, value, value2)


def ours_read_by_tensorboard(tool):
    with tempfile.TemporaryDirectory() as directory:
        written = run_tool(tool, "write", directory)
        (path,) = pathlib.Path(directory).iterdir()
        scalars, texts = [], []
        version = None
        for event in event_file_loader.EventFileLoader(str(path)).Load():
            version = event.file_version or version
            for value in event.summary.value:
                array = tensor_util.make_ndarray(value.tensor)
                if value.metadata.plugin_data.plugin_name == "text":
                    texts.append((value.tag, event.step, event.wall_time, array.item().decode()))
                else:
                    scalars.append((value.tag, event.step, event.wall_time, float(array.item())))
        assert version == "brain.Event:2", version
        compare_scalars([e for e in written if e[0] == "scalar"], scalars)
        assert [e[1:] for e in written if e[0] == "text"] == texts

        accumulator = event_accumulator.EventAccumulator(directory, size_guidance={"tensors": 0, "scalars": 0})
        accumulator.Reload()
        tags = {e[1] for e in written}
        assert set(accumulator.Tags()["tensors"]) | set(accumulator.Tags()["scalars"]) == tags, accumulator.Tags()
        return len(scalars), len(texts)


def theirs_read_by_us(tool):
    with tempfile.TemporaryDirectory() as directory:
        writer = event_file_writer.EventFileWriter(directory)
        expected = []
        for step in range(1, 400):
            value, wall_time = math.sin(step) * 10.0 ** (step % 60 - 30), 1.6e9 + step / 8
            old = summary_pb2.Summary.Value(tag="old/form", simple_value=value)
            new = summary_pb2.Summary.Value(tag="new/form")
            new.tensor.CopyFrom(tensor_util.make_tensor_proto(np.float32(value)))
            wide = summary_pb2.Summary.Value(tag="wide")
            wide.tensor.CopyFrom(tensor_util.make_tensor_proto(np.float64(value)))
            other = summary_pb2.Summary.Value(tag="no scalar")
            other.tensor.CopyFrom(tensor_util.make_tensor_proto(np.zeros((2, 3), np.float32)))
            if step == 1:  # metadata come with the first value only
                new.metadata.plugin_data.plugin_name = "scalars"
                wide.metadata.plugin_data.plugin_name = "scalars"
                other.metadata.plugin_data.plugin_name = "histograms"
            summary = summary_pb2.Summary(value=[old, new, wide, other])
            writer.add_event(event_pb2.Event(wall_time=wall_time, step=step, summary=summary))
            expected.append((step, wall_time, value))
        writer.close()
        seen = run_tool(tool, "read", directory)
        for tag in ("old/form", "new/form", "wide"):
            mine = [e[2:] for e in seen if e[1] == tag]
            assert len(mine) == len(expected), (tag, len(mine))
            for (step, wall_time, value), (step2, wall_time2, value2) in zip(expected, mine):
                assert (step, wall_time) == (step2, wall_time2)
                assert (value if tag == "wide" else float32(value)) == value2, (tag, step, value, value2)
        assert {e[1] for e in seen} == {"old/form", "new/form", "wide"}
        return len(seen)


def run_read_by_tensorboard(tool):
    """All that a Run logs, with TensorBoard's own reader; pictures with Pillow."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([tool, "log", directory], check=True)
        accumulator = event_accumulator.EventAccumulator(directory, size_guidance={"tensors": 0})
        accumulator.Reload()
        of_plugin = {}
        for tag in accumulator.Tags()["tensors"]:
            of_plugin.setdefault(accumulator.SummaryMetadata(tag).plugin_data.plugin_name, set()).add(tag)
        of_plugin["scalars"] = set(accumulator.Tags()["scalars"])
        of_plugin["images"] = set(accumulator.Tags()["images"])
        assert of_plugin == {
            "scalars": {"loss", "list", "harvest/grams", "table/x"},
            "text": {"harvest", "table", "confusion/table", "residuals"},
            "images": {"confusion", "plot"},
            "lockstep": {"lockstep:harvest", "lockstep:table", "lockstep:confusion", "lockstep:residuals"},
        }, of_plugin

        def tensors(tag):
            return [(e.step, tensor_util.make_ndarray(e.tensor_proto)) for e in accumulator.Tensors(tag)]

        assert [(e.step, e.value) for e in accumulator.Scalars("harvest/grams")] == [(0, 41.5), (1, 41.5)]
        (_, text), = tensors("table")
        assert text.item().decode() == "|x|y|\n|---|---|\n|1|a|\n|2|b|\n", text
        (plot,) = accumulator.Images("plot")
        picture = PIL.Image.open(io.BytesIO(plot.encoded_image_string)).copy()
        assert (plot.step, plot.width, plot.height, picture.size, picture.mode) == (12, 31, 17, (31, 17), "RGB")
        assert picture.getpixel((3, 4)) == (0x1F, 0x4E, 0x9C) and picture.getpixel((2, 4)) == (255, 255, 255)
        (confusion,) = accumulator.Images("confusion")
        picture = PIL.Image.open(io.BytesIO(confusion.encoded_image_string)).copy()
        assert picture.size == (confusion.width, confusion.height) == (145, 145), picture.size
        deep, pale = picture.getpixel((28, 28)), picture.getpixel((108, 28))  # 90 of 100 cats, and none taken for owls
        assert deep[0] < 80 < 250 < pale[0], (deep, pale)


if __name__ == "__main__":
    run_read_by_tensorboard(sys.argv[1])
    print("TensorBoard reads all that a run logs")
    scalar_count, text_count = ours_read_by_tensorboard(sys.argv[1])
    print(f"TensorBoard reads our file: {scalar_count} scalars and {text_count} texts are equal")
    print(f"we read TensorBoard's file: {theirs_read_by_us(sys.argv[1])} scalars are equal")
