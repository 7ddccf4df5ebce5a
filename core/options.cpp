#include "lockstep/core/options.h"

#include <algorithm>
#include <boost/program_options.hpp>

#include "lockstep/core/given_options.h"
#include "lockstep/core/nearest_names.h"

namespace lockstep {
namespace {

namespace po = boost::program_options;
constexpr const char* kCommandLine = "command line";

std::string with_dashes(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

[[noreturn]] void fail_here(std::string what, std::string hint = {}) {
  fail(ErrorKind::usage, std::move(what), std::move(hint), kCommandLine);
}

// Boost's style parser: takes one option and its value from the front of `words`, or leaves a positional word alone.
// Our own one rather than Boost's, which would not take a value that begins with dashes, as script parameters do.
class OptionTaker {
 public:
  OptionTaker(const OptionTableBase& table, const std::vector<std::string>& argv) : table_(table), argv_(argv) {}

  std::vector<po::option> operator()(std::vector<std::string>& words) const {
    const std::string word = words.front();
    if (word.size() < 2 || word[0] != '-' || word == "--") return {};
    const auto equals = word.find('=');
    const std::string typed = word.substr(0, equals);
    const OptionEntry& entry = entry_for(typed, word);
    words.erase(words.begin());

    po::option option(entry.name, {});
    option.original_tokens = {typed};
    if (equals != std::string::npos) {
      option.value = {word.substr(equals + 1)};
    } else if (entry.is_switch) {
      option.value = {"true"};
    } else {
      option.value = {take_value(words, typed, entry)};
    }
    return {option};
  }

 private:
  const OptionEntry& entry_for(const std::string& typed, const std::string& word) const {
    const OptionEntry* entry = typed.starts_with("--") ? table_.find(typed.substr(2)) : nullptr;
    if (entry != nullptr) return *entry;
    std::vector<std::string> names;
    for (const OptionEntry& known : table_.entries()) names.push_back(known.name);
    fail_here("unknown option " + typed +
                  suggestion(typed.substr(std::min(typed.find_first_not_of('-'), typed.size())), names),
              table_.repeat_hint(argv_, word));
  }

  static std::string take_value(std::vector<std::string>& words, const std::string& typed, const OptionEntry& entry) {
    // After an ordinary option "--other" means that its value was forgotten; "--name=--other" says it is meant.
    const bool missing =
        words.empty() || words.front() == "--" || (words.front().starts_with("--") && !entry.is_key_values);
    if (missing)
      fail_here(typed + " needs a value: " + typed + " " + (entry.value_name.empty() ? "VALUE" : entry.value_name));
    std::string value = words.front();
    words.erase(words.begin());
    return value;
  }

  const OptionTableBase& table_;
  const std::vector<std::string>& argv_;
};

}  // namespace

const OptionEntry* OptionTableBase::find(std::string_view name) const {
  const std::string wanted = with_dashes(name);
  const auto at = std::find_if(entries_.begin(), entries_.end(), [&](const OptionEntry& e) {
    return e.name == wanted || std::find(e.old_names.begin(), e.old_names.end(), wanted) != e.old_names.end();
  });
  return at == entries_.end() ? nullptr : &*at;
}

std::string OptionTableBase::repeat_hint(const std::vector<std::string>& argv, const std::string& word) const {
  const OptionEntry* last = nullptr;  // the option of KeyValues whose value the words before `word` follow
  std::string typed, value;
  for (std::size_t i = 0; i < argv.size() && argv[i] != "--"; ++i) {
    if (last != nullptr && argv[i] == word) {
      const bool split = value.starts_with('-') && value.find('=') == std::string::npos && !word.starts_with('-');
      return typed + " takes one " + last->value_name +
             (split ? ": " + typed + " " + value + "=" + word : "; repeat it: " + typed + " " + word);
    }
    const auto equals = argv[i].find('=');
    const OptionEntry* entry = argv[i].starts_with("--") ? find(argv[i].substr(2, equals - 2)) : nullptr;
    if (entry == nullptr) continue;
    last = entry->is_key_values ? entry : nullptr;
    typed = argv[i].substr(0, equals);
    if (equals != std::string::npos)
      value = argv[i].substr(equals + 1);
    else if (!entry->is_switch && i + 1 < argv.size())
      value = argv[++i];
  }
  return {};
}

OptionEntry& OptionTableBase::add_entry(OptionEntry entry) {
  entry.name = with_dashes(entry.name);
  if (find(entry.name) != nullptr) fail(ErrorKind::internal, "the option " + entry.name + " is declared twice");
  entry.group = group_;
  return entries_.emplace_back(std::move(entry));
}

Result<OptionTableBase::Origins> OptionTableBase::parse_command_line(const std::vector<std::string>& argv, void* config,
                                                                     std::vector<std::string>* positional) const try {
  const po::options_description no_names;  // OptionTaker knows them
  po::command_line_parser parser(argv);
  parser.options(no_names).allow_unregistered().extra_style_parser(OptionTaker(*this, argv));
  parser.style(po::command_line_style::allow_long | po::command_line_style::long_allow_adjacent);

  std::vector<GivenOption> given;
  for (const po::option& option : parser.run().options) {
    if (!option.string_key.empty()) {
      given.push_back({find(option.string_key), option.original_tokens.front(), option.value.front(), kCommandLine});
    } else if (positional != nullptr) {
      positional->insert(positional->end(), option.value.begin(), option.value.end());
    } else if (!option.value.empty()) {
      fail_here("unexpected argument '" + option.value.front() + "'", repeat_hint(argv, option.value.front()));
    }
  }
  Origins origins;
  if (const auto errors = assign_options(given, config, origins); !errors.empty()) return errors.front();
  return origins;
} catch (const Failure& failure) {
  return failure.error();
} catch (const po::error& error) {
  return Error{ErrorKind::usage, error.what(), kCommandLine, {}};
}

}  // namespace lockstep
