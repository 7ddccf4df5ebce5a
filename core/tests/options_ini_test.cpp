#include <gtest/gtest.h>

#include <iterator>

#include "lockstep/core/options.h"
#include "lockstep/core/tests/job_config.h"

namespace lockstep {
namespace {

JobConfig parsed(std::string_view text, JobConfig config = {}) {
  const auto origins = job_options().parse_ini(text, "job.ini", &config);
  EXPECT_TRUE(origins) << origins.error().message();
  return config;
}

std::string problem(std::string_view text) {
  JobConfig config;
  const auto origins = job_options().parse_ini(text, "job.ini", &config);
  if (origins) return "accepted";
  EXPECT_EQ(origins.error().kind, ErrorKind::usage);
  return origins.error().where + ": " + origins.error().what;
}

TEST(Ini, FieldsCommentsAndSections) {
  const JobConfig config = parsed(
      "\xEF\xBB\xBF# a job\r\n"
      "node_count = 2   # two nodes\r\n"
      "\r\n"
      "  learning-rate=0.5\n"
      "outputs = runs/issue#7\n"
      "use_gpu = yes\n"
      "max_seconds =\n"
      "include = a\n"
      "include = \" b \"\n"
      "tags = stage=late\n"
      "[script_params]  # in order\n"
      "--epochs = 2\n"
      "--verbose =\n"
      "--fast   # a = b\n"
      "--note = \"say \\\"hi\\\" # here\\n\"\n"
      "# --off = 1\n"
      "--epochs = 3\n"
      "[ tags ]\n"
      "\"model\" = mine\n"
      "[script-params]\n"
      "last = a = b");
  EXPECT_EQ(config.node_count, 2);
  EXPECT_EQ(config.learning_rate, 0.5);
  EXPECT_EQ(config.outputs, "runs/issue#7");
  EXPECT_TRUE(config.use_gpu);
  EXPECT_EQ(config.max_seconds, std::nullopt);
  EXPECT_EQ(config.include, (std::vector<std::string>{"a", " b "}));
  EXPECT_EQ(config.script_params, (KeyValues{{"--epochs", "2"},
                                             {"--verbose", ""},
                                             {"--fast", ""},
                                             {"--note", "say \"hi\" # here\n"},
                                             {"--epochs", "3"},
                                             {"last", "a = b"}}));
  EXPECT_EQ(config.tags, (KeyValues{{"stage", "late"}, {"owner", "me"}, {"model", "mine"}}));
}

TEST(Ini, NoValueEmptiesAList) {
  EXPECT_TRUE(parsed("include =\n").include.empty());
  EXPECT_EQ(parsed("include = \"\"\n").include, std::vector<std::string>{""});
  EXPECT_TRUE(parsed("tags =\n").tags.empty());
  EXPECT_EQ(parsed("tags =\ntags = a=1\n").tags, (KeyValues{{"a", "1"}}));
}

// What follows -- on a command line is kept as keys, whatever it holds.
TEST(Ini, AKeyInQuotationMarksHoldsAnythingEvenNothing) {
  const JobConfig config = parsed("[script_params]\n\"--x=5\" =\n\"--y=6\"\n\"\" =\n\"\" = alone\n\"a=b\" = c=d\n");
  EXPECT_EQ(config.script_params, (KeyValues{{"--x=5", ""}, {"--y=6", ""}, {"", ""}, {"", "alone"}, {"a=b", "c=d"}}));
  const JobConfig defaults;
  EXPECT_EQ(job_options().to_ini(&config, &defaults),
            "\n[script_params]\n\"--x=5\" =\n\"--y=6\" =\n\"\" =\n\"\" = alone\n\"a=b\" = c=d\n");
}

TEST(Ini, TheCommandLineHasTheLastWord) {
  JobConfig config = parsed("node_count = 2\nseed = 3\n[script_params]\n--epochs = 2\n--data = x\n");
  ASSERT_TRUE(job_options().parse_command_line({"--node-count", "4", "--script_params", "--epochs=9"}, &config));
  EXPECT_EQ(config.node_count, 4);
  EXPECT_EQ(config.seed, 3u);
  EXPECT_EQ(config.script_params, (KeyValues{{"--epochs", "9"}, {"--data", "x"}}));
}

TEST(Ini, OriginsAreFileAndLine) {
  JobConfig config;
  const auto origins = job_options().parse_ini("\n\nnode_count = 2\n[tags]\n\na = b\nc = d\n", "conf/job.ini", &config);
  ASSERT_TRUE(origins);
  EXPECT_EQ(*origins, (OptionTableBase::Origins{{"node-count", "conf/job.ini:3"}, {"tags", "conf/job.ini:6"}}));
}

TEST(Ini, ErrorsSayFileLineAndWhatWasTyped) {
  const std::pair<std::string, std::string> cases[] = {
      {"\nnode_cuont = 2", "job.ini:2: unknown field node_cuont; did you mean node_count?"},
      {"node_count = two", "job.ini:1: node_count: 'two' is not a whole number"},
      {"# x\n\nnode-count = 0", "job.ini:3: node-count: '0' must be between 1 and 4096"},
      {"node_count =", "job.ini:1: node_count: '' is not a whole number"},
      {"node_count", "job.ini:1: node_count has no value: expected node_count = …"},
      {"= 2", "job.ini:1: '= 2' has no name before the '='"},
      {"node_count = 2\nseed = 1\nnode-count = 3",
       "job.ini:3: node-count is given twice: '2' and '3' (first at job.ini:1)"},
      {"tags = =x", "job.ini:1: tags: '=x' has no key: expected KEY=VALUE"},
      {"[tag]\na = b", "job.ini:2: unknown section [tag]; did you mean tags?"},
      {"[training]\na = b", "job.ini:2: unknown section [training]; known are script_params, tags"},
      {"[seed]\na = b", "job.ini:2: [seed] is a field, not a section"},
      {"[tags]\nnode_count = 2", "job.ini:2: node_count is a field, but stands in the section [tags]"},
      {"[tags\na = b", "job.ini:1: '[tags' is not a heading: expected [name]"},
      {"[]", "job.ini:1: '[]' is not a heading: expected [name]"},
      {"[", "job.ini:1: '[' is not a heading: expected [name]"},
      {"model = \"gpt2", "job.ini:1: the quotation does not end where the value ends"},
      {"model = \"gpt2\" x", "job.ini:1: the quotation does not end where the value ends"},
      {"model = \"\\q\"", "job.ini:1: the quotation does not end where the value ends"},
      {"[tags]\n\"a b = c", "job.ini:2: the quotation does not end where the name ends"},
      {"[tags]\n = c", "job.ini:2: '= c' has no name before the '='"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(problem(text), message) << text;
}

TEST(ToIni, LeavesOutDefaultsAndKeepsSectionsLast) {
  const JobConfig defaults;
  EXPECT_EQ(job_options().to_ini(&defaults, &defaults), "");
  JobConfig config;
  config.node_count = 2;
  config.model = "gpt2";
  config.shuffle = false;
  config.max_seconds = std::nullopt;
  config.include = {};
  config.script_params = {{"--epochs", "2"}, {"--verbose", ""}, {"--text", " two  words "}};
  EXPECT_EQ(job_options().to_ini(&config, &defaults),
            "model = gpt2\nshuffle = false\ninclude =\nnode_count = 2\nmax_seconds =\n"
            "\n[script_params]\n--epochs = 2\n--verbose =\n--text = \" two  words \"\n");
  EXPECT_EQ(parsed(job_options().to_ini(&config, &defaults)), config);
}

// Any text in any field comes back, whatever quoting it needs.
TEST(ToIni, ReadsBackEqual) {
  const char* const pieces[] = {"a", " ",  "#",    "\"", "\\",   "\n",         "\t", "=",  "[",
                                "]", "--", "\x01", "ü",  "\x7f", "node_count", ";",  "\r", "x"};
  std::uint64_t state = 12345;
  const auto random = [&](std::uint64_t below) {
    return state = state * 6364136223846793005u + 1442695040888963407u, (state >> 33) % below;
  };
  const auto word = [&] {
    std::string text;
    for (std::uint64_t i = random(6); i > 0; --i) text += pieces[random(std::size(pieces))];
    return text;
  };
  const JobConfig defaults;
  for (int round = 0; round < 3000; ++round) {
    JobConfig config;
    config.outputs = word();
    config.learning_rate = static_cast<double>(random(1'000'000) + 1) / 7e5;
    config.seed = state;
    config.limit_bytes = static_cast<std::int64_t>(random(1 << 30)) << random(30);
    config.use_gpu = random(2) == 0;
    if (random(3) == 0) config.deterministic = random(2) == 0;
    if (random(3) == 0) config.max_seconds.reset();
    config.include.clear();
    for (std::uint64_t i = random(4); i > 0; --i) config.include.push_back(word());
    if (random(2) == 0) config.tags.clear();
    for (std::uint64_t i = random(4); i > 0; --i) config.tags.emplace_back(word(), word());
    for (std::uint64_t i = random(4); i > 0; --i) config.script_params.emplace_back(word(), word());
    const std::string text = job_options().to_ini(&config, &defaults);
    ASSERT_EQ(parsed(text), config) << text;
  }
}

TEST(Ini, AnyBytesAreSafe) {
  const std::string sound = "node_count = 2\ninclude = \"a\\x41\"\n[tags]\n\"k\" = v # c\n[script_params]\n--x\n";
  std::uint64_t state = 99;
  const auto random = [&] { return state = state * 6364136223846793005u + 1442695040888963407u, state >> 33; };
  for (int round = 0; round < 20000; ++round) {
    std::string text = sound;
    for (std::uint64_t i = 0; i <= random() % 4; ++i) text[random() % text.size()] = static_cast<char>(random());
    if (round % 3 == 0) text.resize(random() % text.size());
    JobConfig config;
    const auto origins = job_options().parse_ini(text, "job.ini", &config);
    ASSERT_TRUE(origins || origins.error().kind == ErrorKind::usage);
  }
}

}  // namespace
}  // namespace lockstep
