"""Environments of runs: virtual environments from wheels that the test makes itself, so that no network is needed."""
import base64
import hashlib
import json
import os
import pathlib
import signal
import textwrap
import zipfile

from harness import ControlTest, Run, eventually


def make_wheel(folder, name, version, body=""):
    """A package of one module, as an index would serve it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"__version__ = {version!r}\n{body}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for path, text in files.items())
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


class EnvironmentTest(ControlTest):
    def setUp(self):
        super().setUp()
        make_wheel(self.root / "wheels", "greeting", "1.0")
        make_wheel(self.root / "wheels", "greeting", "2.0")
        for name in [name for name in self.environment if name.startswith("PIP_")] + ["PYTHONPATH", "VIRTUAL_ENV"]:
            self.environment.pop(name, None)
        self.environment.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.root / "wheels"), PIP_CONFIG_FILE=os.devnull)

    SCRIPT = """
        import sys, greeting
        print("greeting", greeting.__version__, sys.prefix)
        """

    def submit_python(self, *options, script=None, wait=True, **environment):
        run = self.submit(script or self.SCRIPT, *options, name="job.py", ranks=1, environment=environment)
        if wait:
            run.wait(120)
        return run

    def environment_log(self, run):
        path = run.path / "logs/20_environment_log.txt"
        return path.read_text() if path.exists() else ""

    def built(self):
        return sorted(path.name for path in self.root.glob(".lockstep/environments/.built/py-*") if path.is_dir())

    def tool(self, name, text):
        """A program of this name, first on PATH."""
        path = self.root / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(0o755)
        self.environment["PATH"] = f"{path.parent}:" + self.environment["PATH"].removeprefix(f"{path.parent}:")


class Registry(EnvironmentTest):
    def test_versions_listing_and_build(self):
        self.lockstep("env", "create", "mine", "--pip-packages", "greeting==1.0")
        self.lockstep("env", "create", "mine", "--pip-packages", "greeting == 1.0")
        self.lockstep("env", "create", "mine", "--pip-packages", "greeting==2.0")
        names = [(e["name"], e["version"]) for e in json.loads(self.lockstep("env", "list", "--json").stdout)]
        self.assertEqual([name for name in names if name[0] == "mine"], [("mine", 1), ("mine", 2)])
        self.assertIn(("lockstep-sklearn", 1), names)
        first = self.lockstep("env", "build", "mine@1")
        self.assertIn("Successfully installed greeting-1.0", first.stdout)
        self.assertIn("is there, built", self.lockstep("env", "build", "mine@1").stderr)
        shown = json.loads(self.lockstep("env", "show", "mine@1", "--json").stdout)
        self.assertEqual(shown["built"]["packages"]["greeting"], "1.0")
        self.assertIn("Successfully installed", self.lockstep("env", "log", "mine@1").stdout)
        self.assertIn("not yet", self.lockstep("env", "show", "mine").stdout)
        self.lockstep("env", "delete", "mine@1")
        self.assertIn("has no version", self.lockstep("env", "show", "mine@1", code=2).stderr)

    def test_a_build_that_fails(self):
        self.lockstep("env", "create", "bad", "--pip-packages", "no_such_package==1")
        failed = self.lockstep("env", "build", "bad", code=1)
        self.assertIn("no_such_package==1", failed.stderr)
        self.assertIn("PIP_FIND_LINKS", failed.stderr)
        self.assertEqual(self.built(), [])

    def test_files_that_people_have(self):
        (self.root / "requirements.txt").write_text("greeting==1.0  # ours\n")
        (self.root / "env.yml").write_text("dependencies:\n  - python=3\n  - pip:\n    - greeting==1.0\n")
        self.lockstep("env", "create", "a", "requirements.txt")
        self.lockstep("env", "create", "b", "env.yml")
        (self.root / "env.yml").write_text("dependencies:\n  - &x y\n")
        self.assertIn("env.yml:2", self.lockstep("env", "create", "c", "env.yml", code=2).stderr)
        self.assertIn("reserved", self.lockstep("env", "create", "lockstep-x", "requirements.txt", code=2).stderr)
        self.assertIn("did you mean create", self.lockstep("env", "creat", code=2).stderr)

    def test_a_python_that_is_there(self):
        self.lockstep("env", "create", "here", "--python", "python3")
        shown = json.loads(self.lockstep("env", "show", "here", "--json").stdout)
        self.assertTrue(shown["definition"]["python"]["interpreter"].startswith("/"))
        self.assertIn("no such file", self.lockstep("env", "create", "x", "--python", "/no/python", code=2).stderr)
