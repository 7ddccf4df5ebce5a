#include "lockstep/core/options.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lockstep/core/tests/job_config.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

JobConfig parsed(const Words& words, Words* positional = nullptr) {
  JobConfig config;
  const auto origins = job_options().parse_command_line(words, &config, positional);
  EXPECT_TRUE(origins) << origins.error().message();
  return config;
}

// The message, after checking what all messages share.
std::string problem(const Words& words) {
  JobConfig config;
  const auto origins = job_options().parse_command_line(words, &config);
  if (origins) return "accepted";
  EXPECT_EQ(origins.error().kind, ErrorKind::usage);
  EXPECT_EQ(origins.error().where, "command line");
  return origins.error().what;
}

TEST(CommandLine, NothingGivenChangesNothing) { EXPECT_EQ(parsed({}), JobConfig()); }

TEST(CommandLine, EveryTypeInEverySpelling) {
  const JobConfig config =
      parsed({"--model", "gpt2", "--outputs=/a b/c=d", "--node_count", "4", "--limit-bytes=9223372036854775807",
              "--seed", "18446744073709551615", "--learning_rate", "2.5e-3", "--use-gpu", "--shuffle=No",
              "--max-seconds", "7", "--deterministic=true"});
  EXPECT_EQ(config.model, "gpt2");
  EXPECT_EQ(config.outputs, "/a b/c=d");
  EXPECT_EQ(config.node_count, 4);
  EXPECT_EQ(config.limit_bytes, INT64_MAX);
  EXPECT_EQ(config.seed, UINT64_MAX);
  EXPECT_EQ(config.learning_rate, 0.0025);
  EXPECT_TRUE(config.use_gpu);
  EXPECT_FALSE(config.shuffle);
  EXPECT_EQ(config.max_seconds, 7);
  EXPECT_EQ(config.deterministic, true);
  EXPECT_EQ(parsed({"--max_seconds="}).max_seconds, std::nullopt);
  EXPECT_EQ(parsed({"--outputs", ""}).outputs, "");
}

TEST(CommandLine, SwitchesTakeNoNextWord) {
  Words words;
  const JobConfig config = parsed({"--use_gpu", "false", "--shuffle", "--deterministic"}, &words);
  EXPECT_TRUE(config.use_gpu);
  EXPECT_TRUE(config.shuffle);
  EXPECT_EQ(config.deterministic, true);
  EXPECT_EQ(words, Words{"false"});
  for (const char* yes : {"true", "True", "yes", "on", "1"})
    EXPECT_TRUE(parsed({std::string("--use-gpu=") + yes}).use_gpu);
  for (const char* no : {"false", "FALSE", "no", "off", "0"})
    EXPECT_FALSE(parsed({std::string("--shuffle=") + no}).shuffle);
}

TEST(CommandLine, PositionalWordsAndAllAfterTwoDashesAreLeft) {
  Words words;
  const JobConfig config = parsed({"job.ini", "--node-count", "2", "-", "", "--", "--seed", "9", "--", "-x"}, &words);
  EXPECT_EQ(config.node_count, 2);
  EXPECT_EQ(config.seed, 7u);
  EXPECT_EQ(words, (Words{"job.ini", "-", "", "--seed", "9", "--", "-x"}));
  EXPECT_EQ(problem({"job.ini"}), "unexpected argument 'job.ini'");
  EXPECT_EQ(problem({"--", "--seed"}), "unexpected argument '--seed'");
}

TEST(CommandLine, KeyValuesKeepTheirOrderAndMayBeginWithDashes) {
  const JobConfig config = parsed({"--script_params", "--epochs=2", "--script-params=--data=a=b", "--script_params",
                                   "--verbose", "--script_params", "--epochs=3", "--script-params", "name="});
  EXPECT_EQ(config.script_params,
            (KeyValues{{"--epochs", "2"}, {"--data", "a=b"}, {"--verbose", ""}, {"--epochs", "3"}, {"name", ""}}));
}

TEST(CommandLine, GivenKeysReplaceEarlierOnesInTheirPlace) {
  EXPECT_EQ(parsed({"--tags", "stage=late", "--tags", "new=1"}).tags,
            (KeyValues{{"stage", "late"}, {"owner", "me"}, {"new", "1"}}));
  JobConfig config;
  config.script_params = {{"--a", "1"}, {"--b", "2"}, {"--a", "3"}, {"--c", "4"}};
  ASSERT_TRUE(job_options().parse_command_line(
      {"--script-params", "--a=5", "--script-params", "--a=6", "--script-params=--d=7"}, &config));
  EXPECT_EQ(config.script_params, (KeyValues{{"--a", "5"}, {"--a", "6"}, {"--b", "2"}, {"--c", "4"}, {"--d", "7"}}));
}

TEST(CommandLine, AGivenListReplacesTheEarlierOne) {
  EXPECT_EQ(parsed({"--include", "x", "--include=y", "--include", ""}).include, (Words{"x", "y", ""}));
}

TEST(CommandLine, OriginsTellWhatWasGiven) {
  JobConfig config;
  const auto origins = job_options().parse_command_line({"--node_count=2", "--tags", "a=b"}, &config);
  ASSERT_TRUE(origins);
  EXPECT_EQ(*origins, (OptionTableBase::Origins{{"node-count", "command line"}, {"tags", "command line"}}));
}

TEST(CommandLine, UnknownOptionsNameTheNearest) {
  EXPECT_EQ(problem({"--node_cuont=3"}), "unknown option --node_cuont; did you mean node-count?");
  EXPECT_EQ(problem({"--used-gpu"}), "unknown option --used-gpu; did you mean use-gpu?");
  const std::string all =
      "; known are model, outputs, learning-rate, seed, shuffle, include, node-count, use-gpu, limit-bytes, "
      "max-seconds, deterministic, script-params, tags";
  EXPECT_EQ(problem({"-n", "4"}), "unknown option -n" + all);
  EXPECT_EQ(problem({"--node"}), "unknown option --node; did you mean node-count, model?");
  EXPECT_EQ(problem({"--=5"}), "unknown option --" + all);
  EXPECT_EQ(problem({"-5"}), "unknown option -5" + all);
  EXPECT_EQ(problem({"---"}), "unknown option ---" + all);
}

TEST(CommandLine, MissingValues) {
  EXPECT_EQ(problem({"--node-count"}), "--node-count needs a value: --node-count N");
  EXPECT_EQ(problem({"--model", "--node-count", "2"}), "--model needs a value: --model NAME");
  EXPECT_EQ(problem({"--model", "--"}), "--model needs a value: --model NAME");
  EXPECT_EQ(problem({"--script_params"}), "--script_params needs a value: --script_params KEY=VALUE");
}

TEST(CommandLine, WrongValuesAreRepeatedWithWhatIsWrong) {
  const std::pair<std::string, std::string> cases[] = {
      {"--node-count=two", "--node-count: 'two' is not a whole number"},
      {"--node_count=2x", "--node_count: '2x' is not a whole number"},
      {"--node-count= 2", "--node-count: ' 2' is not a whole number"},
      {"--node-count=+2", "--node-count: '+2' is not a whole number"},
      {"--node-count=2.0", "--node-count: '2.0' is not a whole number"},
      {"--node-count=0x2", "--node-count: '0x2' is not a whole number"},
      {"--node-count=", "--node-count: '' is not a whole number"},
      {"--node-count=0", "--node-count: '0' must be between 1 and 4096"},
      {"--node-count=-1", "--node-count: '-1' must be between 1 and 4096"},
      {"--node-count=2147483648", "--node-count: '2147483648' must be between -2147483648 and 2147483647"},
      {"--limit-bytes=9223372036854775808",
       "--limit-bytes: '9223372036854775808' must be between -9223372036854775808 and 9223372036854775807"},
      {"--limit-bytes=-5", "--limit-bytes: '-5' must be at least 0"},
      {"--seed=-1", "--seed: '-1' must not be negative"},
      {"--seed=-", "--seed: '-' is not a whole number"},
      {"--seed=18446744073709551616", "--seed: '18446744073709551616' must be between 0 and 18446744073709551615"},
      {"--learning-rate=fast", "--learning-rate: 'fast' is not a number"},
      {"--learning-rate=0.1x", "--learning-rate: '0.1x' is not a number"},
      {"--learning-rate=0,1", "--learning-rate: '0,1' is not a number"},
      {"--learning-rate=", "--learning-rate: '' is not a number"},
      {"--learning-rate=nan", "--learning-rate: 'nan' is not a finite number"},
      {"--learning-rate=-inf", "--learning-rate: '-inf' is not a finite number"},
      {"--learning-rate=1e999", "--learning-rate: '1e999' is too large or too small for a number"},
      {"--learning-rate=1e-999", "--learning-rate: '1e-999' is too large or too small for a number"},
      {"--learning-rate=0", "--learning-rate: '0' must be greater than 0"},
      {"--use-gpu=maybe", "--use-gpu: 'maybe' is neither true nor false"},
      {"--use-gpu=", "--use-gpu: '' is neither true nor false"},
      {"--max-seconds=0", "--max-seconds: '0' must be at least 1"},
      {"--max-seconds=soon", "--max-seconds: 'soon' is not a whole number"},
      {"--model=restnet18", "--model: 'restnet18' is not known; did you mean resnet18?"},
      {"--model=alexnet", "--model: 'alexnet' is not known; known are cifar_net, resnet18, gpt2"},
      {"--tags==value", "--tags: '=value' has no key: expected KEY=VALUE"},
      {"--tags=", "--tags: '' has no key: expected KEY=VALUE"},
  };
  for (const auto& [word, message] : cases) EXPECT_EQ(problem({word}), message);
}

TEST(CommandLine, AWordTooManyAfterOneOfKeyValues) {
  const auto hint = [](const Words& words) {
    JobConfig config;
    return job_options().parse_command_line(words, &config).error().hint;
  };
  EXPECT_EQ(hint({"--script-params", "--epochs", "2"}),
            "--script-params takes one KEY=VALUE: --script-params --epochs=2");
  EXPECT_EQ(hint({"--tags", "a=1", "b=2"}), "--tags takes one KEY=VALUE; repeat it: --tags b=2");
  EXPECT_EQ(hint({"--tags=a=1", "b=2"}), "--tags takes one KEY=VALUE; repeat it: --tags b=2");
  EXPECT_EQ(hint({"--script_params", "--epochs=2", "--verbose="}),
            "--script_params takes one KEY=VALUE; repeat it: --script_params --verbose=");
  EXPECT_EQ(hint({"--tags", "a=1", "--node-count", "2", "b=2"}), "");
  EXPECT_EQ(hint({"b=2", "--tags", "a=1"}), "");
}

TEST(CommandLine, TwoValuesForOneOptionAreNeverSettledInSilence) {
  EXPECT_EQ(problem({"--node-count=2", "--node_count", "3"}), "--node_count is given twice: '2' and '3'");
  EXPECT_EQ(problem({"--use-gpu", "--use-gpu=false"}), "--use-gpu is given twice: 'true' and 'false'");
}

TEST(CommandLine, AnyWordsAreSafe) {
  const Words pieces = {"--",
                        "-",
                        "--=",
                        "=",
                        "--tags",
                        "--tags=",
                        "--include",
                        "--use-gpu",
                        "--node-count",
                        "\xff\xfe",
                        std::string("--a\0b", 5),
                        "",
                        " "};
  std::uint64_t state = 7;
  for (int round = 0; round < 5000; ++round) {
    Words words, positional;
    for (int i = 0; i < round % 6; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      words.push_back(pieces[(state >> 33) % pieces.size()]);
    }
    JobConfig config;
    const auto origins = job_options().parse_command_line(words, &config, &positional);
    ASSERT_TRUE(origins || origins.error().kind == ErrorKind::usage);
  }
}

TEST(OptionTable, DeclaringANameTwiceIsABug) {
  OptionTable<JobConfig> table;
  table.add("node_count", &JobConfig::node_count, "N", "nodes");
  EXPECT_THROW(table.add("node-count", &JobConfig::node_count, "N", "nodes"), Failure);
}

TEST(Help, GroupsAlignedColumnsAndDefaults) {
  const JobConfig defaults;
  EXPECT_EQ(job_options().help(&defaults, "train [job.ini] [options]"),
            R"(usage: train [job.ini] [options]

What to train
  --model NAME               network to train (default: cifar_net)
  --outputs DIR              where results go (default: ./outputs)
  --learning-rate RATE       step size (default: 0.1)
  --seed N                   of the random numbers (default: 7)
  --shuffle                  another order of the samples in each epoch (default: true; --shuffle=false turns
                             it off)
  --include PATH             folders to take along (repeatable; default: src data)

Where
  --node-count N             number of nodes (default: 1)
  --use-gpu                  train on GPUs
  --limit-bytes BYTES        of the snapshot (default: 300000000)
  --max-seconds S            ends the run after this time (default: 60)
  --deterministic            the same bits every time; the default is left to the model because some have no
                             deterministic kernels
  --script-params KEY=VALUE  passed on to the program (repeatable)
  --tags KEY=VALUE           labels (repeatable; default: stage=early owner=me)
)");
}

TEST(Help, ALongNameGetsALineOfItsOwn) {
  struct Config {
    int value = 3;
  } defaults;
  OptionTable<Config> table;
  table.add("a-name-that-is-longer-than-the-widest-column", &Config::value, "N", "what it does");
  table.add("n", &Config::value, "N", "short");
  EXPECT_EQ(
      table.help(&defaults, "x"),
      "usage: x\n\nOptions\n  --a-name-that-is-longer-than-the-widest-column N\n         what it does (default: 3)\n"
      "  --n N  short (default: 3)\n");
}

}  // namespace
}  // namespace lockstep
