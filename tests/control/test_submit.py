"""Submitting as people do: with output redirected, from odd places, with bad settings around."""
import json
import os
import shlex
import subprocess
import unittest

from harness import LOCKSTEP, ControlTest, Run


class ShellTest(ControlTest):
    def shell(self, line, code=0):
        """Runs a line of bash in the source directory, where the workspace is then made; `lockstep` is the program."""
        (self.root / "src").mkdir(exist_ok=True)
        line = f"lockstep() {{ {shlex.quote(LOCKSTEP)} \"$@\"; }}; set -o pipefail\n{line}"
        done = subprocess.run(["bash", "-c", line], cwd=self.root / "src", env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=90)
        self.assertEqual(done.returncode, code, f"{line}: {done.stdout}\n{done.stderr}")
        return done


class Submit(ShellTest):
    def run_directories(self):
        return self.root.glob("**/.lockstep/runs/*/*")

    def wait_for_all(self):
        ends = []
        for path in sorted(self.run_directories()):
            self.runs.append(Run(path, self))
            ends.append(self.runs[-1].wait()["status"])
        return ends

    def test_output_redirected_into_the_source_directory(self):
        self.write("sl.sh", "ls; echo $1\n")
        self.shell("lockstep submit -- sl.sh 1 > out.txt 2>&1")
        self.assertIn("./out.txt takes what this command prints", (self.root / "src/out.txt").read_text())
        self.shell("lockstep submit -- sl.sh 1 | tee t.log")
        self.shell("lockstep submit --wait -- sl.sh 1 2>&1 | tee t.log")
        self.assertEqual(self.wait_for_all(), ["Completed"] * 3)
        logs = sorted(run.log() for run in self.runs)
        self.assertNotIn("out.txt", "".join(log for log in logs if "t.log" not in log))

    def test_a_sweep_with_a_log_for_each(self):
        self.write("sl.sh", "echo $1\n")
        self.shell("for i in 1 2 3; do lockstep submit -- sl.sh $i > sweep$i.log || exit; done")
        self.assertEqual(self.wait_for_all(), ["Completed"] * 3)

    def test_bad_slots_make_no_run(self):
        self.write("sl.sh", "true\n")
        for slots in ("0", "abc"):
            refused = self.lockstep("submit", "--source-directory", "src", "--", "sl.sh", code=2, LOCKSTEP_SLOTS=slots)
            self.assertIn(f'LOCKSTEP_SLOTS is "{slots}"', refused.stderr)
        self.assertEqual(list(self.run_directories()), [])

    def test_a_job_file_with_a_secret_in_the_source_directory(self):
        self.write("sl.sh", "true\n")
        self.write("job.ini", "entry_script = sl.sh\n[environment_variables]\nMY_TOKEN = s3cret\n")
        self.assertIn("job.ini sets MY_TOKEN and is copied", self.shell("lockstep submit job.ini --dry-run").stderr)
        self.write("job.ini", "entry_script = sl.sh\n[environment_variables]\nMY_TOKEN\n")
        self.assertNotIn("note:", self.shell("MY_TOKEN=s3cret lockstep submit job.ini --dry-run").stderr)
        self.write(".lockstepignore", "*.ini\n")
        self.write("job.ini", "entry_script = sl.sh\n[environment_variables]\nMY_TOKEN = s3cret\n")
        self.assertNotIn("note:", self.shell("lockstep submit job.ini --dry-run").stderr)

    def test_a_working_directory_that_is_gone(self):
        for command in ("runs", "submit -- true", "version"):
            said = self.shell(f"mkdir gone && cd gone && rmdir ../gone && lockstep {command}", code=0 if command == "version" else 1)
            self.assertNotIn("filesystem", said.stderr)
            self.assertEqual("the current directory does not exist any more" in said.stderr, command != "version")


class Output(ShellTest):
    def test_output_that_cannot_be_written_is_a_failure(self):
        for line in ("lockstep version > /dev/full", "lockstep --help > /dev/full", "lockstep version >&-"):
            self.assertIn("the output could not be written", self.shell(line, code=1).stderr)
        self.assertEqual(self.shell("lockstep version <&- 2>&-").stderr, "")

    def test_a_reader_that_goes_early_is_none(self):
        self.write("sl.sh", "true\n")
        quiet = self.shell("trap '' PIPE; { lockstep --help; echo $? >&2; } | true; sleep 0.2", code=0)
        self.assertNotIn("could not", quiet.stderr)


if __name__ == "__main__":
    unittest.main()
