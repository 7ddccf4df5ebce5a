#include "lockstep/launchers/stage_inputs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "lockstep/core/dataset_content.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class StageInputs : public testing::Test {
 protected:
  StageInputs() {
    fs::create_directories(run_ / "logs");
    fs::create_directories(work_);
    put("data/deep/a", "1");
    put("data/b", "22");
    const DatasetContent content = look_at_dataset(root_.path() / "data").value();
    input_ = {.name = "set",
              .dataset = "numbers",
              .version = 3,
              .mode = DatasetMode::download,
              .source = root_.path() / "data",
              .kind = "folder",
              .sha256 = content.sha256,
              .bytes = content.bytes,
              .to = ""};
  }

  void put(const std::string& name, const std::string& text) {
    fs::create_directories((root_.path() / name).parent_path());
    std::ofstream(root_.path() / name) << text;
  }

  std::string stage() { return stage_inputs({input_}, run_, work_, stage_).at("LOCKSTEP_INPUT_set"); }

  Error refused() {
    try {
      stage();
    } catch (const Failure& failure) {
      return failure.error();
    }
    ADD_FAILURE() << "it was staged";
    return {};
  }

  TemporaryDirectory root_;
  fs::path run_ = root_.path() / ".lockstep/runs/e/r", work_ = run_ / "work", stage_ = root_.path() / "stage";
  InputPlan input_;
};

TEST_F(StageInputs, MountedIsTheRegisteredPlace) {
  input_.mode = DatasetMode::mount;
  const auto variables = stage_inputs({input_}, run_, work_, stage_);
  EXPECT_EQ(variables.at("set"), (root_.path() / "data").string());
  EXPECT_EQ(variables.at("LOCKSTEP_INPUT_set"), variables.at("set"));
  EXPECT_FALSE(fs::exists(stage_));
  input_.source = root_.path() / "gone";
  EXPECT_EQ(refused().what, "data set numbers@3 (input set) is not there");
  input_.mode = DatasetMode::direct;
  EXPECT_EQ(stage(), root_.path() / "gone");
}

TEST_F(StageInputs, AFileOfAnotherSizeIsNotWhatWasRegistered) {
  input_.mode = DatasetMode::mount;
  input_.kind = "file";
  input_.source = root_.path() / "data/b";
  input_.bytes = 3;
  EXPECT_EQ(refused().what, "data set numbers@3 (input set) is 2 bytes long, but was registered with 3");
}

TEST_F(StageInputs, DownloadedIsAReadOnlyCopyThatIsMadeOnce) {
  const fs::path copy = stage();
  EXPECT_EQ(copy, stage_ / input_.sha256 / "data");
  EXPECT_EQ(read_file(copy / "deep/a"), "1");
  EXPECT_EQ(fs::status(copy / "b").permissions(), fs::perms::owner_read);
  const std::string log = read_file(run_ / "logs" / ("65_job_prep_" + host_name() + ".txt"));
  EXPECT_NE(log.find("numbers@3 (input set): 2 files, 3 bytes copied from "), std::string::npos) << log;
  put("data/b", "33");  // the copy stays what was registered
  EXPECT_EQ(stage(), copy);
  EXPECT_EQ(read_file(copy / "b"), "22");
  EXPECT_EQ(read_file(run_ / "logs" / ("65_job_prep_" + host_name() + ".txt")), log);
}

TEST_F(StageInputs, ACopyOfSomethingElseIsRefused) {
  put("data/b", "33");
  const Error error = refused();
  EXPECT_EQ(error.kind, ErrorKind::usage);
  EXPECT_NE(error.what.find("but was registered with " + input_.sha256), std::string::npos) << error.what;
  EXPECT_FALSE(fs::exists(stage_ / input_.sha256));
  EXPECT_FALSE(fs::exists(stage_ / (input_.sha256 + ".part")));
}

TEST_F(StageInputs, ALinkLeadsWhereTheProgramLooks) {
  input_.to = "in/here";
  EXPECT_EQ(stage(), work_ / "in/here");
  EXPECT_EQ(read_file(work_ / "in/here/b"), "22");
  EXPECT_EQ(stage(), work_ / "in/here");  // every rank makes it
  put(".lockstep/runs/e/r/work/taken", "of the source");
  input_.to = "taken";
  EXPECT_EQ(refused().what, "there is something else where data set numbers@3 (input set) should be");
}

// What a killed one left is cleared away; of many processes one copies.
TEST_F(StageInputs, ManyRanksShareOneCopy) {
  fs::create_directories(stage_ / (input_.sha256 + ".part") / "data");
  std::ofstream(stage_ / (input_.sha256 + ".part") / "data/b") << "half";
  std::vector<pid_t> ranks;
  for (int i = 0; i < 8; ++i) {
    ranks.push_back(::fork());
    if (ranks.back() != 0) continue;
    int code = 1;
    try {
      code = read_file(fs::path(stage()) / "b") == "22" ? 0 : 2;
    } catch (...) {
    }
    ::_exit(code);
  }
  for (const pid_t rank : ranks) EXPECT_EQ(wait_process(rank).code, 0);
  const std::string log = read_file(run_ / "logs" / ("65_job_prep_" + host_name() + ".txt"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

}  // namespace
}  // namespace lockstep
