"""`lockstep metrics` on what runs leave in their logs."""
import json
import os
import subprocess
import threading

from harness import ControlTest

WORKER = os.environ.get("LOCKSTEP_METRIC_WORKER", "lockstep_metric_worker")


class Metrics(ControlTest):
    def test_logs_of_several_writers_and_points_for_a_plot(self):
        run = self.submit(f"(cd logs && mkdir -p train) && LOCKSTEP_METRIC_POINTS=5000 {WORKER} logs/train && exec {WORKER}\n",
                          ranks=1)
        self.assertEqual(run.wait()["status"], "Completed")
        points = json.loads(self.lockstep("metrics", run.id, "--json").stdout)
        self.assertEqual(sorted(points), ["eval/accuracy", "train/eval/accuracy", "train/loss", "train/train/loss"])
        self.assertEqual(len(points["train/train/loss"]), 5000)
        few = json.loads(self.lockstep("metrics", run.id, "train/train/loss", "--json", "--points", 100).stdout)
        self.assertTrue(90 <= len(few["train/train/loss"]) <= 100)
        self.assertEqual(few["train/train/loss"][0], points["train/train/loss"][0])
        self.assertEqual(few["train/train/loss"][-1], points["train/train/loss"][-1])
        values = json.loads(self.lockstep("metrics", run.id, "--values").stdout)
        self.assertEqual(values["eval/accuracy"], 0.8125)
        self.assertEqual(values["train/loss"], [2.5, 1.25, 0.8333333, 0.625])
        self.assertIn("at least 4", self.lockstep("metrics", run.id, "--points", 3, code=2).stderr)
        self.assertIn("exclude each other", self.lockstep("metrics", run.id, "--values", "--csv", code=2).stderr)

    def test_follow_shows_points_as_they_come(self):
        run = self.submit(f"{WORKER}\nuntil [ -e {self.root}/go ]; do sleep 0.05; done\nexec {WORKER}\n", ranks=1)
        run.wait_for_log("attempt 1")
        follower = subprocess.Popen([os.environ["LOCKSTEP_PROGRAM"], "metrics", run.id, "train/loss", "--csv", "--follow"],
                                    cwd=self.root, env=self.environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(follower.kill)
        self.addCleanup(follower.stdout.close)
        watchdog = threading.Timer(60, follower.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        seen = [follower.stdout.readline() for _ in range(5)]
        self.assertEqual(seen[0], "name,step,wall_time,value\n")
        self.assertTrue(seen[4].startswith("train/loss,40,"), seen)
        (self.root / "go").touch()
        self.assertEqual([line.split(",")[1] for line in follower.stdout], ["10", "20", "30", "40"])
        self.assertEqual(follower.wait(), 0)
        run.wait()
