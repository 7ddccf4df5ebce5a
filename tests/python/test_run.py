"""lockstep.py without a run, and the event files it writes."""
import ast
import contextlib
import importlib.util
import io
import json
import math
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "python" / "lockstep.py"
TOOL = os.environ.get("LOCKSTEP_EVENT_FILE_TOOL", "event_file_tool")


def fresh_module():
    """As a new process would import it."""
    spec = importlib.util.spec_from_file_location("lockstep", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name).resolve()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        for name in list(os.environ):
            if name.startswith(("LOCKSTEP_RUN", "LOCKSTEP_EXP", "OMPI_COMM", "PMI", "SLURM_PROC")) or name in ("RANK", "WORLD_SIZE"):
                self.addCleanup(os.environ.__setitem__, name, os.environ.pop(name))
        self.lockstep = fresh_module()

    def records(self, path):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield data[:length + 16]
            data = data[length + 16:]

    def values(self, directory="logs"):
        done = subprocess.run([TOOL, "values", str(directory)], capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return json.loads(done.stdout)


class Offline(InFolder):
    def test_syntax_is_that_of_python_3_6_and_the_standard_library_is_enough(self):
        tree = ast.parse(SOURCE.read_text(), feature_version=(3, 6))
        imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        self.assertLessEqual(imported, {"difflib", "io", "json", "math", "os", "shutil", "socket", "struct", "subprocess", "sys",
                                        "tempfile", "time", "zlib"})

    def test_the_documents_two_lines(self):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            run = self.lockstep.Run.get_context()
            run.log("loss", 2.194567)
            run.log("loss", 1.5)
            run.log("note", "half way")
            run.log_row("row", a=1, b="x")
        self.assertEqual(said.getvalue(), "loss = 2.19457 (step 0)\nloss = 1.5 (step 1)\nnote = half way (step 0)\n"
                                          "row = {'a': 1, 'b': 'x'} (step 0)\n")
        self.assertEqual(run.get_metrics(), {"loss": [2.194567, 1.5], "note": "half way", "row": {"a": [1], "b": ["x"]}})
        self.assertEqual(run.get_metrics("note"), {"note": "half way"})
        self.assertEqual(self.values(), {"loss": [2.194567, 1.5], "note": "half way", "row": {"a": [1.0], "b": ["x"]}})
        self.assertIs(self.lockstep.Run.get_context(), run)
        with self.assertRaisesRegex(self.lockstep.LockstepError, "lockstep submit"):
            self.lockstep.Run.get_context(allow_offline=False)

    def test_nothing_is_made_before_it_is_needed(self):
        run = self.lockstep.Run.get_context()
        run.tag("stage", "early")
        run.tag("baseline")
        run.remove_tags(["stage"])
        run.add_properties({"seed": 7})
        run.add_properties({"seed": 7})
        with self.assertRaisesRegex(self.lockstep.LockstepError, "'7' already and cannot become '8'"):
            run.add_properties({"seed": 8})
        self.assertEqual((run.get_tags(), run.get_properties()), ({"baseline": ""}, {"seed": "7"}))
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_other_ranks_are_quiet_until_asked(self):
        os.environ["OMPI_COMM_WORLD_RANK"] = "3"
        self.addCleanup(os.environ.pop, "OMPI_COMM_WORLD_RANK")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            run = self.lockstep.Run.get_context()
            run.log("loss", 1)
            run.tag("a")
        self.assertEqual((said.getvalue(), list(self.folder.iterdir()), run.get_tags()), ("", [], {}))
        run.set_writer(True)
        with contextlib.redirect_stdout(said):
            run.log("loss", 2)
        self.assertEqual(self.values(), {"rank_3/loss": 2.0})

    def test_a_directory_that_cannot_be_written_is_one_warning(self):
        (self.folder / "logs").write_text("a file")
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            run = self.lockstep.Run.get_context()
            for i in range(100):
                run.log("loss", i)
        self.assertEqual(said.getvalue().count("metrics are lost"), 1)

    def test_what_has_no_shape_is_refused(self):
        run = self.lockstep.Run.get_context()
        (self.folder / "text.png").write_text("no picture")
        error = self.lockstep.LockstepError
        with self.assertRaisesRegex(error, "exactly one"):
            run.log_image("plot")
        with self.assertRaisesRegex(error, "neither a PNG nor a JPEG"):
            run.log_image("plot", path="text.png")
        with self.assertRaisesRegex(error, "is no JSON"):
            run.log_residuals("residuals", "torn {")
        with self.assertRaisesRegex(error, "2 labels"):
            run.log_confusion_matrix("m", {"data": {"class_labels": ["a", "b"], "matrix": [[1]]}})
        with self.assertRaisesRegex(error, "differ in length"):
            run.log_table("t", {"a": [1], "b": [1, 2]})
        with self.assertRaisesRegex(error, "not below outputs"):
            run.upload_file("../elsewhere", "text.png")

    def test_files(self):
        run = self.lockstep.Run.get_context()
        (self.folder / "outputs/deep").mkdir(parents=True)
        (self.folder / "outputs/deep/model.bin").write_bytes(b"weights")
        (self.folder / "outputs/away").symlink_to("/etc/hostname")
        run.upload_file("outputs/more/copy.bin", "outputs/deep/model.bin")
        run.upload_folder("outputs/again", "outputs/deep")
        self.assertEqual(run.get_file_names(), ["outputs/again/model.bin", "outputs/deep/model.bin", "outputs/more/copy.bin"])
        run.download_file("outputs/deep/model.bin", "new/folder/name.bin")
        self.assertEqual((self.folder / "new/folder/name.bin").read_bytes(), b"weights")
        run.download_files("outputs/deep", "flat", append_prefix=False)
        self.assertEqual((self.folder / "flat/model.bin").read_bytes(), b"weights")
        with self.assertRaisesRegex(self.lockstep.LockstepError, "did you mean outputs/deep/model.bin"):
            run.download_file("outputs/deep/mdel.bin")


class Bytes(InFolder):
    def test_event_files_are_those_of_the_cpp_side(self):
        done = subprocess.run([TOOL, "write", str(self.folder)], capture_output=True, text=True, check=True)
        (path,) = self.folder.iterdir()
        theirs = list(self.records(path))[1:]  # the first says when the file was made
        (self.folder / "mine").mkdir()
        file = self.lockstep._EventFile(str(self.folder / "mine"))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines:
            if line["kind"] == "scalar":
                file.write(self.lockstep._scalar(line["tag"], float(line["value"]), line["step"], line["wall_time"]))
            else:
                file.write(self.lockstep._string(b"text", line["tag"], line["value"], line["step"], line["wall_time"]))
        (path,) = (self.folder / "mine").iterdir()
        mine = list(self.records(path))[1:]
        self.assertEqual(len(mine), len(theirs))
        for line, a, b in zip(lines, mine, theirs):
            if line["value"] != "nan":  # its sign is nobody's business
                self.assertEqual(a, b, line["tag"])

    def test_all_that_can_be_logged_is_read_back(self):
        with contextlib.redirect_stdout(io.StringIO()):
            run = self.lockstep.Run.get_context()
            run.log_list("list", [3, 2.5, 1])
            run.log_table("table", {"x": [1, float("nan")], "y": ["a", 0.1]})
            run.log_row("table", x=5)
            matrix = {"schema_type": "confusion_matrix", "data": {"class_labels": ["cat", 7], "matrix": [[9, 1], [2, 8]]}}
            run.log_confusion_matrix("confusion", json.dumps(matrix))
            run.log_residuals("residuals", {"schema_type": "residuals"})
            (self.folder / "plot.png").write_bytes(self.lockstep._png(5, 2, [b"\0\0\xff" * 5] * 2))
            run.log_image("plot", path="plot.png", step=4)
        seen = self.values()
        self.assertEqual(seen.pop("plot")[0]["width"], 5)
        self.assertEqual(seen, {"list": [3.0, 2.5, 1.0], "table": {"x": [1.0, "NaN", 5.0], "y": ["a", 0.1, ""]},
                                "confusion": matrix, "residuals": {"schema_type": "residuals"}})

    def test_a_forked_process_writes_a_file_of_its_own(self):
        with contextlib.redirect_stdout(io.StringIO()):
            run = self.lockstep.Run.get_context()
            run.log("loss", 1)
            child = os.fork()
            if child == 0:
                run.log("other", 2)
                os._exit(0)
            os.waitpid(child, 0)
            run.log("loss", 3)
        self.assertEqual(len(list((self.folder / "logs").iterdir())), 2)
        self.assertEqual(self.values(), {"loss": [1.0, 3.0], "other": 2.0})


class Shown(InFolder):
    def test_tensorboard_reads_it(self):
        try:
            import PIL.Image
            from tensorboard.backend.event_processing import event_accumulator
        except ImportError as error:
            self.skipTest("LOCKSTEP_TEST_PYTHON is not set: %s" % error)
        with contextlib.redirect_stdout(io.StringIO()):
            run = self.lockstep.Run.get_context()
            run.log("loss", 0.5, step=10)
            run.log_row("row", a=1, b="x")
            run.log_confusion_matrix("confusion", {"data": {"class_labels": ["cat", "dog"], "matrix": [[9, 1], [0, 8]]}})
            run.log_predictions("predictions", {"schema_type": "predictions"})
        seen = event_accumulator.EventAccumulator("logs", size_guidance={"tensors": 0})
        seen.Reload()
        self.assertEqual(set(seen.Tags()["scalars"]), {"loss", "row/a"})
        self.assertEqual([(e.step, e.value) for e in seen.Scalars("loss")], [(10, 0.5)])
        texts = {t for t in seen.Tags()["tensors"] if seen.SummaryMetadata(t).plugin_data.plugin_name == "text"}
        self.assertEqual(texts, {"row", "confusion/table", "predictions"})
        (image,) = seen.Images("confusion")
        picture = PIL.Image.open(io.BytesIO(image.encoded_image_string)).copy()
        self.assertEqual(picture.size, (80, 80))
        self.assertLess(picture.getpixel((20, 20))[0], 80)
        self.assertEqual(picture.getpixel((20, 60)), (255, 255, 255))
