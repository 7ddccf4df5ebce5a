"""C++ source as an entry script: built once for all runs of the same source, its errors the cause of the run's end."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from harness import LOCKSTEP, TERMINAL, ControlTest, Run, eventually, is_alive

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "cluster/examples/mpi_hello"
PLAIN = '#include <cstdio>\nint main(int argc, char** argv) { std::printf("%s %s\\n", TEXT, argc > 1 ? argv[1] : ""); }\n'


class SourceTest(ControlTest):
    def submit_source(self, entry, *options, source="src", wait=True):
        done = self.lockstep("submit", "--source-directory", self.root / source, "--entry-script", entry,
                             "--experiment", "e2e", *options)
        run = Run(next(path for path in self.run_directories() if path.name in done.stdout), self)
        self.runs.append(run)
        return run, (run.wait(120) if wait else None)

    def environment_log(self, run):
        path = run.path / "logs/20_environment_log.txt"
        return path.read_text() if path.exists() else ""

    def built(self):
        return sorted(path.name for path in self.root.glob(".lockstep/environments/.built/src-*") if path.is_dir())


class Build(SourceTest):
    def test_hello_of_two_nodes_as_one_file_and_as_a_tree(self):
        shutil.copytree(EXAMPLE, self.root / "hello")
        for options in ((), ("--entry-script", ".")):
            done = self.lockstep("submit", self.root / "hello/job.ini", "--source-directory", self.root / "hello", *options)
            run = Run(next(path for path in self.run_directories() if path.name in done.stdout), self)
            self.runs.append(run)
            end = run.wait(120)
            self.assertEqual(end["status"], "Completed", end)
            self.assertIn("Preparing", run.statuses())
            for rank in range(4):
                self.assertIn(f"hello from rank {rank} of 4", run.log(rank))
            self.assertIn("sum over ranks: 10", run.log())
            self.assertIn("cmake configure", self.environment_log(run))
            facts = json.loads((run.path / "environment.json").read_text())
            self.assertTrue(os.access(facts["program"]["program"], os.X_OK))
        self.assertEqual(len(self.built()), 2)

    def test_it_is_built_once_also_for_two_at_once(self):
        self.write("a.cc", '#define TEXT "one"\n' + PLAIN)
        first, _ = self.submit_source("a.cc", "--script-params", "x=", wait=False)
        second, _ = self.submit_source("a.cc", "--script-params", "y=", wait=False)
        self.assertEqual([run.wait(120)["status"] for run in (first, second)], ["Completed"] * 2)
        self.assertEqual((first.log(), second.log()), ("one x\n", "one y\n"))
        records = [json.loads((run.path / "environment.json").read_text())["program"] for run in (first, second)]
        self.assertEqual(records[0], records[1])
        self.assertEqual(len(self.built()), 1)
        third, end = self.submit_source("a.cc")
        self.assertEqual(end["status"], "Completed")
        self.assertRegex(self.environment_log(third), r"is there, built .* ago")
        self.write("a.cc", '#define TEXT "two"\n' + PLAIN)
        fourth, _ = self.submit_source("a.cc")
        self.assertEqual(fourth.log(), "two \n")
        self.assertEqual(len(self.built()), 2)

    def test_errors_of_the_compiler_are_the_cause(self):
        self.write("bad.cc", "int main() {\n  return no_such_name;\n}\n")
        run, end = self.submit_source("bad.cc")
        self.assertEqual((end["status"], end["cause"]["reason"]), ("Failed", "environment"))
        self.assertIn("bad.cc:2", end["cause"]["message"])
        self.assertIn("no_such_name", "\n".join(end["cause"]["last_lines"]))
        self.assertIn("no_such_name", self.environment_log(run))
        self.assertEqual(self.built(), [])
        self.assertFalse((run.path / "logs/70_driver_log.txt").exists())
        self.assertIn("no_such_name", self.lockstep("show", run.id).stdout)

    def test_of_several_executables_the_tree_must_say_which(self):
        tree = 'cmake_minimum_required(VERSION 3.20)\nproject(many LANGUAGES CXX)\n'
        for name in ("one", "two"):
            self.write(f"{name}.cc", f'#define TEXT "{name}"\n' + PLAIN)
            tree += f"add_executable({name} {name}.cc)\n"
        self.write("CMakeLists.txt", tree)
        run, end = self.submit_source(".")
        self.assertEqual(end["status"], "Failed")
        self.assertIn("several executables: one, two", end["cause"]["message"])
        self.write("CMakeLists.txt", tree + "add_executable(src one.cc)\n")
        run, end = self.submit_source(".")
        self.assertEqual((end["status"], run.log()), ("Completed", "one \n"))

    def test_a_dry_run_says_what_will_be_built(self):
        self.write("a.cc", '#define TEXT "one"\n' + PLAIN)
        plan = json.loads(self.lockstep("submit", "--source-directory", "src", "--entry-script", "a.cc", "--dry-run", "--json").stdout)
        self.assertEqual(self.built(), [])
        run, _ = self.submit_source("a.cc")
        record = json.loads((run.path / "run.json").read_text())
        self.assertEqual(plan["source_build"], record["source_build"])
        self.assertEqual(plan["launch_plan"]["rank_argv"], record["launch_plan"]["rank_argv"])

    def test_what_cannot_be_built_is_refused(self):
        self.write("book.ipynb", "{}")
        (self.root / "src/empty").mkdir()
        (self.root / "src/empty/x").write_text("")
        for entry, said in (("book.ipynb", "jupyter nbconvert"), ("empty", "without a CMakeLists.txt")):
            refused = self.lockstep("submit", "--source-directory", "src", "--entry-script", entry, code=2)
            self.assertIn(said, refused.stderr)


class BuildEnds(SourceTest):
    # CMake runs this while it configures: a build that takes as long as the test wants.
    SLOW = """
        cmake_minimum_required(VERSION 3.20)
        project(slow LANGUAGES CXX)
        file(APPEND "${CMAKE_SOURCE_DIR}/../../../../../started" "x")
        execute_process(COMMAND sh -c "while ! test -e ../../../../../go; do sleep 0.05; done" WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
        add_executable(src a.cc)
        """

    def slow(self):
        self.write("a.cc", '#define TEXT "slow"\n' + PLAIN)
        self.write("CMakeLists.txt", self.SLOW)

    def started(self, times=1):
        path = self.root / "started"
        eventually(lambda: path.exists() and len(path.read_text()) >= times, f"build number {times}")

    def test_cancel_ends_a_build(self):
        self.slow()
        run, _ = self.submit_source(".", wait=False)
        self.started()
        self.assertEqual(run.statuses()[-1], "Preparing")
        self.lockstep("cancel", run.id)
        self.assertEqual(run.wait()["status"], "Canceled")
        self.assertEqual(self.built(), [])
        (self.root / "go").write_text("")
        again, end = self.submit_source(".")
        self.assertEqual((end["status"], again.log()), ("Completed", "slow \n"))

    def test_another_run_builds_when_the_builder_is_killed(self):
        self.slow()
        first, _ = self.submit_source(".", wait=False)
        self.started()
        second, _ = self.submit_source(".", wait=False)
        eventually(lambda: "waiting for" in self.environment_log(second), "the second run waits")
        os.kill(first.supervisor(), signal.SIGKILL)
        self.started(2)
        (self.root / "go").write_text("")
        self.assertEqual(second.wait(120)["status"], "Completed")
        self.assertEqual(second.log(), "slow \n")
        self.assertEqual((self.root / "started").read_text(), "xx")

    def test_a_run_that_waits_for_a_canceled_builder_builds_itself(self):
        self.slow()
        first, _ = self.submit_source(".", wait=False)
        self.started()
        second, _ = self.submit_source(".", wait=False)
        eventually(lambda: "waiting for" in self.environment_log(second), "the second run waits")
        self.lockstep("cancel", first.id)
        self.assertEqual(first.wait()["status"], "Canceled")
        self.started(2)
        (self.root / "go").write_text("")
        self.assertEqual(second.wait(120)["status"], "Completed")
