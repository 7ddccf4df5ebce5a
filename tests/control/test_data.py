"""Data sets: registered, found by name, brought to the ranks."""
import json
import os
import pathlib
import unittest

from harness import ControlTest


class Data(ControlTest):
    def setUp(self):
        super().setUp()
        (self.root / "photos/deep").mkdir(parents=True)
        (self.root / "photos/a").write_text("one")
        (self.root / "photos/deep/b").write_text("two")

    def records(self):
        return [(r["name"], r["version"]) for r in json.loads(self.lockstep("data", "list", "--json").stdout)]

    def test_any_files_can_be_registered_in_versions(self):
        said = self.lockstep("data", "register", "photos", "photos").stdout
        self.assertIn("photos@1: a folder of 2 files, 6 B", said)
        self.lockstep("data", "register", "photos", "photos")
        self.assertEqual(self.records(), [("photos", 1)])
        (self.root / "photos/a").write_text("ONE")
        self.lockstep("data", "register", "photos", "photos", "--tags", "split=train", "--description", "all of them")
        self.lockstep("data", "register", "huge", "photos/a", "--digest", "none")
        self.assertEqual(self.records(), [("huge", 1), ("photos", 1), ("photos", 2)])
        newest = json.loads(self.lockstep("data", "list", "--json").stdout)[2]
        self.assertEqual((newest["kind"], newest["files"], newest["tags"]), ("folder", 2, {"split": "train"}))
        for words in (["none", "gone"], ["no/name", "photos"], ["x", "photos", "--digest", "md5"]):
            self.lockstep("data", "register", *words, code=2)

    def test_ranks_find_their_data_sets(self):
        self.lockstep("data", "register", "photos", "photos")
        (self.root / "photos/a").write_text("ONE")
        self.lockstep("data", "register", "photos", "photos")
        run = self.submit("""
            echo "$RANK $1 $2 $(cat $photos/a) $(cat $LOCKSTEP_INPUT_copied/deep/b) $(cat in/here/a)"
        """, "--script-params", "dataset:photos=", "--script-params", "input:copied=",
                          "--inputs", "copied=photos@2:download", "--inputs", "placed=photos:download:to=in/here")
        self.assertEqual(run.wait()["status"], "Completed")
        digest = json.loads(self.lockstep("data", "list", "--json").stdout)[1]["sha256"]
        host = os.uname().nodename
        copy = self.root / ".lockstep/stage" / host / digest / "photos"
        for rank in (0, 1):
            self.assertEqual(run.log(rank).strip(), f"{rank} {self.root}/photos {copy} ONE two ONE")
        self.assertEqual((run.path / f"logs/65_job_prep_{host}.txt").read_text().count("copied from"), 1)
        inputs = json.loads((run.path / "run.json").read_text())["input_datasets"]
        self.assertEqual([(i["name"], i["dataset"], i["version"], i["mode"]) for i in inputs],
                         [("copied", "photos", 2, "download"), ("placed", "photos", 2, "download"),
                          ("photos", "photos", 2, "mount")])
        self.assertTrue(all(i["sha256"] == digest for i in inputs))
        self.assertIn(f"photos@2, mount of {self.root}/photos", self.lockstep("show", run.id).stdout)

    def test_changed_data_ends_the_run_with_the_reason(self):
        self.lockstep("data", "register", "photos", "photos")
        (self.root / "photos/a").write_text("eno")
        run = self.submit("cat $1/a\n", "--script-params", "dataset:photos:download=", ranks=1)
        end = run.wait()
        self.assertEqual(end["status"], "Failed")
        self.assertIn("but was registered with", end["cause"]["message"])
        self.assertEqual(end["cause"]["exit_code"], 2)

    def test_a_version_in_use_is_not_deleted(self):
        self.lockstep("data", "register", "photos", "photos")
        run = self.submit("echo ready; while [ ! -e stop ]; do sleep 0.05; done\n", "--inputs", "x=photos", ranks=1)
        run.wait_for_log("ready")
        self.assertIn(f"photos@1 is in use by {run.id}", self.lockstep("data", "delete", "photos@1", code=2).stderr)
        (run.path / "work/stop").touch()
        run.wait()
        self.lockstep("data", "delete", "photos", code=2)
        self.assertIn("stays", self.lockstep("data", "delete", "photos@1").stdout)
        self.assertEqual(self.records(), [])
        self.assertTrue((self.root / "photos/a").exists())

    def test_a_name_that_is_not_there(self):
        self.lockstep("data", "register", "photos", "photos")
        self.write("job.sh", "true\n")
        refused = self.lockstep("submit", "--source-directory", "src", "--", "job.sh", "dataset:photo", code=2)
        self.assertIn("there is no data set 'photo'; did you mean photos?", refused.stderr)


if __name__ == "__main__":
    unittest.main()
