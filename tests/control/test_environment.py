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

    def submit_refused(self, *options, code=2):
        self.write("job.py", self.SCRIPT)
        return self.lockstep("submit", "--source-directory", self.root / "src", "--entry-script", "job.py", *options,
                             code=code).stderr

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


class Runs(EnvironmentTest):
    def test_packages_are_installed_once(self):
        run = self.submit_python("--pip-packages", "greeting==1.0")
        self.assertEqual(run.events()[-1]["status"], "Completed", run.events()[-1])
        self.assertIn("Preparing", run.statuses())
        self.assertLess(run.statuses().index("Preparing"), run.statuses().index("Running"))
        self.assertIn(f"greeting 1.0 {self.root}/.lockstep/environments/.built/py-", run.log())
        self.assertIn("Successfully installed greeting-1.0", self.environment_log(run))
        facts = json.loads((run.path / "environment.json").read_text())
        self.assertEqual(facts["packages"]["greeting"], "1.0")
        again = self.submit_python("--pip-packages", "greeting==1.0")
        self.assertEqual(again.events()[-1]["status"], "Completed")
        self.assertRegex(self.environment_log(again), "is there, built .* ago")
        self.assertEqual(len(self.built()), 1)
        other = self.submit_python("--pip-packages", "greeting==2.0")
        self.assertIn("greeting 2.0", other.log())
        self.assertEqual(len(self.built()), 2)

    def test_two_at_once_share_one_build(self):
        runs = [self.submit_python("--pip-packages", "greeting", wait=False) for _ in range(2)]
        for run in runs:
            self.assertEqual(run.wait(120)["status"], "Completed")
            self.assertIn("greeting 2.0", run.log())
            self.assertIn("Successfully installed", self.environment_log(run))
        texts = [self.environment_log(run) for run in runs]
        self.assertEqual(sum("--- building environment" in text for text in texts), 1, texts)

    def test_a_registered_one_by_name(self):
        self.lockstep("env", "create", "mine", "--pip-packages", "greeting==1.0", "--variables", "COLOR=blue")
        self.lockstep("env", "create", "mine", "--pip-packages", "greeting==2.0")
        script = "import os, greeting\nprint(greeting.__version__, os.environ.get('COLOR'))\n"
        self.assertEqual(self.submit_python("--environment-definition", "mine@1", script=script).log(), "1.0 blue\n")
        newest = self.submit_python("--environment-definition", "mine", script=script)
        self.assertEqual(newest.log(), "2.0 None\n")
        self.assertEqual(json.loads((newest.path / "environment.json").read_text())["version"], 2)
        refused = self.submit_refused("--environment-definition", "mime")
        self.assertIn("did you mean mine", refused)

    def test_files_in_the_source_directory(self):
        self.write("requirements.txt", "greeting==1.0\n")
        self.write("env.yml", "dependencies:\n  - pip:\n    - greeting==2.0\n    - azureml-sdk\n")
        self.assertIn("greeting 1.0", self.submit_python("--pip-requirements-file", "requirements.txt").log())
        run = self.submit_python("--conda-dependencies-file", "env.yml")
        self.assertIn("greeting 2.0", run.log())
        self.assertIn("azureml-sdk is left out", self.environment_log(run))
        self.write("env.yml", "dependencies:\n  - {x: y}\n")
        self.assertIn("env.yml:2", self.submit_refused("--conda-dependencies-file", "env.yml"))

    def test_a_package_that_is_not_there_is_the_cause(self):
        run = self.submit_python("--pip-packages", "no_such_package==1")
        end = run.events()[-1]
        self.assertEqual((end["status"], end["cause"]["reason"]), ("Failed", "environment"))
        self.assertIn("no_such_package", end["cause"]["message"])
        self.assertTrue(any("ERROR" in line for line in end["cause"]["last_lines"]))
        self.assertIn("PIP_FIND_LINKS", end["cause"]["hint"])
        self.assertEqual(self.built(), [])


class Tools(EnvironmentTest):
    def test_a_python_that_is_there(self):
        self.lockstep("env", "create", "mine", "--pip-packages", "greeting==1.0")
        self.lockstep("env", "build", "mine")
        (venv,) = self.root.glob(".lockstep/environments/.built/py-*/venv")
        run = self.submit_python("--python", venv)
        self.assertIn(f"greeting 1.0 {venv}", run.log())
        self.assertEqual(json.loads((run.path / "environment.json").read_text())["packages"]["greeting"], "1.0")

    def test_modules(self):
        self.tool("modulecmd", """
            #!/bin/sh
            test "$1" = bash && test "$2" = load || exit 1
            shift 2
            for name; do
              case $name in
                broken) echo "module broken is not known" >&2; echo false;;
                *) echo "export LOADED_$name='it is'; export PATH=/modules/$name:\\$PATH; echo chatter";;
              esac
            done
            """)
        for name in ("LMOD_CMD", "MODULES_CMD"):
            self.environment.pop(name, None)
        run = self.submit("echo $LOADED_one $LOADED_two $PATH\n", "--modules", "one", "--modules", "two", ranks=1)
        self.assertEqual(run.wait()["status"], "Completed", self.environment_log(run))
        self.assertTrue(run.log().startswith("it is it is /modules/two:/modules/one:"), run.log())
        facts = json.loads((run.path / "environment.json").read_text())
        self.assertEqual(facts["modules"], ["one", "two"])
        self.assertEqual(facts["variables"]["LOADED_one"], "it is")
        run = self.submit("true\n", "--modules", "broken", ranks=1)
        self.assertIn("module broken is not known", run.wait()["cause"]["message"])

    def test_conda(self):
        self.tool("conda", """
            #!/bin/sh
            echo "conda was called: $*"
            test "$1 $2 $3" = "env create --prefix" || exit 9
            cat "$6"
            python3 -m venv "$4"
            """)
        run = self.submit_python("--conda-packages", "numpy=1.21", script="import sys\nprint(sys.prefix)\n")
        self.assertTrue(run.log().rstrip().endswith("/conda"), run.log() + self.environment_log(run))
        self.assertIn('- "numpy=1.21"', self.environment_log(run))

    def test_a_container(self):
        refused = self.submit_refused("--custom-docker-image", "python:3.12", code=1)
        self.assertIn("podman, apptainer", refused)
        self.tool("podman", """
            #!/bin/bash
            test "$1" = image && { echo sha256:00ff; exit; }
            echo "$@"
            while test "$1" != python:3.12; do shift; done
            shift; exec "$@"
            """)
        run = self.submit_python("--custom-docker-image", "python:3.12", script="print('inside')\n")
        self.assertIn("inside", run.log())
        self.assertIn(f"--volume={run.path}:{run.path}", run.log())
        self.assertEqual(json.loads((run.path / "environment.json").read_text())["image_digest"], "sha256:00ff")

    def test_cancel_while_it_is_built(self):
        self.tool("conda", "#!/bin/sh\ntouch started; sleep 1000\n")
        run = self.submit_python("--conda-packages", "numpy", wait=False)
        eventually(lambda: list(self.root.glob(".lockstep/environments/.built/*/started")), "conda runs")
        self.assertEqual(run.statuses()[-1], "Preparing")
        self.lockstep("cancel", run.id)
        self.assertEqual(run.wait()["status"], "Canceled")
        self.assertEqual(self.built(), [])

    def test_dry_run_is_what_happens(self):
        self.write("job.py", self.SCRIPT)
        words = ("submit", "--source-directory", "src", "--entry-script", "job.py", "--pip-packages", "greeting==1.0")
        plan = json.loads(self.lockstep(*words, "--dry-run", "--json").stdout)
        self.assertEqual(self.built(), [])
        run = self.submit_python("--pip-packages", "greeting==1.0")
        record = json.loads((run.path / "run.json").read_text())
        self.assertEqual(plan["environment"], record["environment"])
        self.assertEqual(plan["launch_plan"]["rank_argv"], record["launch_plan"]["rank_argv"])
        self.assertEqual(plan["launch_plan"]["prepended"], record["launch_plan"]["prepended"])
