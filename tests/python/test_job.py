"""lockstep.py in runs that the real control program starts."""
import json
import os
import pathlib
import sys

from harness import ControlTest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
import lockstep


class Job(ControlTest):
    def test_four_ranks_write_one_event_file(self):
        run = self.submit("""
            from lockstep import Run
            run = Run.get_context(allow_offline=False)
            for loss in (2.5, 1.25):
                run.log('loss', loss)
            run.log_row('row', rank=1, word='x')
            run.tag('from', 'the job')
            run.add_properties({'seed': 7})
            open('outputs/model.txt', 'a').write('weights')
            status = run.get_status()
            print(run.get_metrics() == {'loss': [2.5, 1.25], 'row': {'rank': [1.0], 'word': ['x']}}, status in ("Starting", "Running"), run.id)
        """, name="train.py", ranks=4)
        self.assertEqual(run.wait()["status"], "Completed")
        files = [path.name for path in (run.path / "logs").rglob("*tfevents*")]
        self.assertEqual(len(files), 1, files)
        values = json.loads(self.lockstep("metrics", run.id, "--values").stdout)
        self.assertEqual(values, {"loss": [2.5, 1.25], "row": {"rank": [1.0], "word": ["x"]}})
        self.assertEqual(json.loads((run.path / "tags.json").read_text()), {"from": "the job"})
        self.assertEqual(json.loads((run.path / "properties.json").read_text()), {"seed": "7"})
        self.assertEqual(run.log(0), "True True %s\n" % run.id)

    def test_a_run_from_outside(self):
        run = self.submit("from lockstep import Run\nRun.get_context().log('loss', 0.5)\nopen('outputs/m', 'w').write('x')\n",
                          name="train.py", ranks=1)
        os.environ["LOCKSTEP_RUN_DIR"] = ""  # this process is none of its ranks
        mine = lockstep.Run.open(run.id[-8:], str(self.root))
        details = mine.wait_for_completion()
        self.assertEqual((mine.id, details["status"], mine.get_status()), (run.id, "Completed", "Completed"))
        self.assertEqual(mine.get_metrics(), {"loss": 0.5})
        self.assertEqual(mine.get_portal_url(), "file://" + str(run.path))
        mine.log("loss", 7)  # has another writer
        self.assertEqual(mine.get_metrics("loss"), {"loss": 0.5})
        mine.tag("kept")
        self.assertEqual(mine.get_tags(), {"kept": ""})
        mine.download_file("outputs/m", str(self.root / "copy"))
        self.assertEqual((self.root / "copy").read_text(), "x")
        self.assertIn(str(self.root / "all/logs/70_driver_log.txt"), mine.get_all_logs(str(self.root / "all")))
        failed = self.submit("raise SystemExit(3)\n", name="train.py", ranks=1)
        with self.assertRaisesRegex(lockstep.LockstepError, "Failed. .*3"):
            lockstep.Run.open(failed.id, str(self.root)).wait_for_completion()
        with self.assertRaisesRegex(lockstep.LockstepError, "there is no run"):
            lockstep.Run.open("nothing", str(self.root))

    def test_a_python_path_of_the_users_own_stays(self):
        (self.root / "mine").mkdir()
        (self.root / "mine" / "helper.py").write_text("word = 'found'\n")
        run = self.submit("import helper, lockstep\nprint(helper.word, lockstep.__name__)\n", name="train.py", ranks=1,
                          environment={"PYTHONPATH": str(self.root / "mine")})
        self.assertEqual(run.wait()["status"], "Completed")
        self.assertEqual(run.log(), "found lockstep\n")
