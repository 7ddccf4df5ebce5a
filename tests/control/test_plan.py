"""A plan is what then happens: --dry-run against the ranks themselves; a run given again; a run resumed and restored."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from harness import ControlTest, Run

DUMP = """
    import json, os
    words = open("/proc/self/cmdline", "rb").read().decode().split("\\0")[:-1]
    with open(f"outputs/rank_{os.environ['RANK']}.json", "w") as file:
        json.dump({"argv": words, "environment": dict(os.environ), "directory": os.getcwd()}, file)
"""

# What starts a rank may add these, and no others.
FROM_MPI = re.compile(r"OMPI_|PMIX_|PRTE_|PMI_|IPATH_|HFI_|OPAL_|ORTE_|ZES_|HYDRA_|MPI")
FROM_SHELLS = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


class PlanTest(ControlTest):
    maxDiff = None

    def submit_as(self, *options, **environment):
        """Plans, submits and waits; returns the plan and the run."""
        words = ["submit", "--source-directory", self.root / "src", "--experiment", "plan", *options]
        planned = json.loads(self.lockstep(*words[:1], "--dry-run", "--json", *words[1:], **environment).stdout)
        return planned, self.submitted(words, **environment)

    def submitted(self, words, **environment):
        before = set(self.run_directories())
        self.lockstep(*words, **environment)
        (path,) = set(self.run_directories()) - before
        run = Run(path, self)
        self.runs.append(run)
        end = run.wait()
        self.assertEqual(end["status"], "Completed", run.log() + str(end))
        return run

    def seen(self, run, rank=0):
        if (run.path / "outputs/cmdline").exists():  # of a program that does not know JSON
            words, variables = ((run.path / "outputs" / name).read_text().split("\0")[:-1]
                                for name in ("cmdline", "environ"))
            return {"argv": words, "environment": dict(v.split("=", 1) for v in variables),
                    "directory": (run.path / "outputs/directory").read_text()}
        return json.loads((run.path / f"outputs/rank_{rank}.json").read_text())


class DryRun(PlanTest):
    def check(self, *options, **environment):
        """What rank 0 reports is what the dry run said, to the word."""
        planned, run = self.submit_as(*options, **environment)
        seen = self.seen(run)
        record = json.loads((run.path / "run.json").read_text())
        self.assertEqual(planned["launch_plan"], record["launch_plan"])
        self.assertEqual(planned["estimator_as_given"], record["estimator_as_given"])

        def filled(text):
            return text.replace("<run>", str(run.path)).replace("<id>", run.id).replace(
                "<port>", seen["environment"]["MASTER_PORT"])
        expected = {name: filled(value) for name, value in planned["rank_0"]["environment"].items()}
        started = dict(seen["environment"])
        for name, value in expected.items():
            if value == "<redacted>":
                self.assertTrue(started[name])
                expected[name] = started[name]
        for name in list(started):
            if name not in expected and (FROM_MPI.match(name) or name in FROM_SHELLS):
                del started[name]
        # mpirun puts its own folders in front.
        prefix = pathlib.Path(shutil.which("mpirun")).parent
        for name, own in (("PATH", {str(prefix)}), ("LD_LIBRARY_PATH", {str(prefix.parent / "lib")})):
            value = started.get(name, "")
            while value and value != expected.get(name) and value.partition(":")[0] in own:
                value = value.partition(":")[2]
            if name in expected or not value:
                started.pop(name, None)
            if name in expected:
                started[name] = value
        for name in FROM_SHELLS & set(expected) - set(planned["launch_plan"]["environment"]):
            started[name] = expected[name]
        self.assertEqual({k: v for k, v in started.items() if not FROM_MPI.match(k) or k in expected}, expected)
        argv = [filled(word) for word in planned["rank_0"]["argv"]]
        if argv[0].startswith("./"):  # the kernel puts the interpreter in front
            self.assertEqual(seen["argv"][0], "python3")
            del seen["argv"][0]
        self.assertEqual(argv, seen["argv"])
        self.assertEqual(seen["directory"], str(run.path / "work"))
        return planned, run

    def test_alone_by_mpi_and_by_scripts_of_every_kind(self):
        self.write("dump.py", DUMP)
        self.write("dump.sh", "exec python3 dump.py \"$@\"\n")
        program = self.write("program", "#!/usr/bin/env python3\n")
        program.write_text(program.read_text() + (self.root / "src/dump.py").read_text())
        self.check("--", "dump.py", "--epochs", "2", "a b", "$RANK of ${WORLD_SIZE}", "$$HOME", "")
        self.check("--process-count-per-node", 2, "--entry-script", "dump.py", "--script-params", "--rate=0.1",
                   "--script-params", "--verbose=", "--environment-variables", "MY_SETTING=x y",
                   "--environment-variables", "MY_TOKEN=s3cret")
        self.check("--command", "python3 dump.py 'quoted $RANK' $RANK $NOT_SET")
        self.check("--distributed-training", "mpi:2x1", "--", "dump.py", OMP_NUM_THREADS="3", NOT_MINE="1")
        planned, run = self.check("--max-run-duration-seconds", 60, "--", "program", "x")
        self.assertNotIn("NOT_MINE", planned["rank_0"]["environment"])
        words = json.loads(self.lockstep("submit", "--source-directory", "src", "--dry-run", "--json", "--",
                                         "dump.sh", "1").stdout)["rank_0"]["argv"]
        self.assertEqual(words[1:], ["dump.sh", "1"])

    def test_a_program_that_is_built_first(self):
        self.write("dump.cc", """
            #include <filesystem>
            #include <fstream>
            int main() {
              for (const char* name : {"cmdline", "environ"})
                std::ofstream(std::string("outputs/") + name) << std::ifstream(std::string("/proc/self/") + name).rdbuf();
              std::ofstream("outputs/directory") << std::filesystem::current_path().string();
            }
        """)
        self.check("--", "dump.cc", "--epochs", "$RANK")

    def test_nothing_is_left_behind(self):
        self.write("dump.py", DUMP)
        said = self.lockstep("submit", "--source-directory", "src", "--dry-run", "--", "dump.py").stdout
        self.assertIn("rank 0 runs   ", said)
        self.assertIn("  RANK=0\n", said)
        self.assertEqual(sorted(path.name for path in self.root.iterdir()), ["src"])

    def test_with_data_sets(self):
        self.write("dump.py", DUMP)
        (self.root / "numbers").mkdir()
        (self.root / "numbers/a").write_text("1")
        self.lockstep("data", "register", "numbers", "numbers")
        self.check("--inputs", "copied=numbers:download", "--inputs", "placed=numbers@1:to=in/here",
                   "--process-count-per-node", 2, "--entry-script", "dump.py",
                   "--script-params", "--a=dataset:numbers", "--script-params", "--b=input:copied",
                   "--script-params", "--c=input:placed")
        self.check("--command", "python3 dump.py --a=dataset:numbers:download dataset:numbers:direct:as=other",
                   LOCKSTEP_STAGE=str(self.root / "disk"))
        self.assertTrue((self.root / "disk").exists())


class Again(PlanTest):
    def plan_of(self, run):
        record = json.loads((run.path / "run.json").read_text())
        return record["launch_plan"], record["estimator_as_given"], record["snapshot"]["digest"]

    def test_as_ini_gives_the_same_plan(self):
        self.write("dump.py", DUMP)
        (self.root / "data").write_text("1")
        self.lockstep("data", "register", "numbers", "data")
        _, first = self.submit_as("--inputs", "copied=numbers:download", "--distributed-training", "mpi:2x1",
                                  "--script-params", "--a=dataset:numbers", "--script-params", "--empty=",
                                  "--script-params", "--odd= # \"x\"\n", "--entry-script", "dump.py",
                                  "--environment-variables", "A=1", "--environment-variables", "MY_TOKEN=s3cret",
                                  "--tags", "k=v", "--max-run-duration-seconds", 60, "--description", "why")
        (self.root / "data").write_text("2")
        self.lockstep("data", "register", "numbers", "data")  # a later version is not meant
        (self.root / "data").write_text("1")
        ini = self.lockstep("show", first.id, "--as-ini").stdout
        self.assertNotIn("s3cret", ini)
        (self.root / "again.ini").write_text(ini)
        second = self.submitted(["submit", "again.ini", "--environment-variables", "MY_TOKEN=s3cret"])
        self.assertEqual(self.plan_of(second), self.plan_of(first))
        self.write("dump.py", DUMP + "    # another version\n")
        (self.root / "again.ini").write_text(self.lockstep("show", first.id, "--as-ini", "--from-snapshot").stdout)
        third = self.submitted(["submit", "again.ini", "--environment-variables", "MY_TOKEN=s3cret"])
        self.assertEqual(self.plan_of(third)[0], self.plan_of(first)[0])
        self.assertEqual(self.plan_of(third)[2], self.plan_of(first)[2])

    def test_resume_is_the_same_code_from_its_run(self):
        self.write("dump.py", DUMP)
        _, first = self.submit_as("--environment-variables", "MY_TOKEN=s3cret", "--tags", "try=1", "--", "dump.py", "x")
        self.write("dump.py", "raise SystemExit('not this one')\n")
        refused = self.lockstep("resume", first.id, code=2)
        self.assertIn("set MY_TOKEN here", refused.stderr)
        second = self.submitted(["resume", "latest", "--tags", "try=2"], MY_TOKEN="other")
        self.assertEqual(self.seen(second)["environment"]["LOCKSTEP_RESUME_FROM"], str(first.path))
        self.assertEqual(self.seen(second)["environment"]["MY_TOKEN"], "other")
        self.assertEqual(self.seen(second)["argv"], self.seen(first)["argv"])
        self.assertEqual(json.loads((second.path / "tags.json").read_text()), {"try": "2"})
        self.assertEqual(self.plan_of(second)[2], self.plan_of(first)[2])
        self.assertIn("no run is named", self.lockstep("resume", code=2).stderr)

    def test_restore(self):
        self.write("dump.py", DUMP)
        self.write("name with\nnewline", "x\n")
        _, run = self.submit_as("--", "dump.py")
        self.lockstep("restore", "latest", "again")
        self.assertEqual(sorted(p.name for p in (self.root / "again").iterdir()), ["dump.py", "name with\nnewline"])
        self.assertEqual((self.root / "again/dump.py").read_text(), (self.root / "src/dump.py").read_text())
        self.assertIn("is not empty", self.lockstep("restore", run.id, "again", code=2).stderr)
        snapshot = run.path / "snapshot/dump.py"
        snapshot.chmod(0o600)
        snapshot.write_text("changed")
        self.assertIn(f"{snapshot}: is not as it was submitted", self.lockstep("restore", run.id, "more", code=1).stderr)
        self.assertFalse((self.root / "more").exists())

    def test_what_git_says_is_kept(self):
        self.write("dump.py", DUMP)

        def git(*words):
            subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
                           cwd=self.root / "src", env=self.environment, check=True, capture_output=True)
        git("init", "-q", "-b", "main")
        git("add", ".")
        git("commit", "-q", "-m", "m")
        self.write("dump.py", DUMP + "    # changed\n")
        _, run = self.submit_as("--", "dump.py")
        self.assertIn("+# changed", (run.path / "git_diff.patch").read_text())
        properties = json.loads((run.path / "properties.json").read_text())
        self.assertEqual(properties["azureml.git.branch"], "main")
        self.assertEqual(properties["azureml.git.dirty"], "True")
        second = self.submitted(["resume", run.id])
        git_of = lambda one: json.loads((one.path / "run.json").read_text())["git"]["commit"]  # noqa: E731
        self.assertEqual(git_of(second), git_of(run))


if __name__ == "__main__":
    unittest.main()
