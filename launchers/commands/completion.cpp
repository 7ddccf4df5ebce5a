// lockstep completion: a script for the shell, which asks this program what may follow. Commands and options are those
// of the tables, through the help texts that are made of them.
#include <set>
#include <sstream>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/run_index.h"
#include "lockstep/launchers/commands/command_line.h"

namespace lockstep {
namespace {

struct CompletionOptions {};

constexpr CommandText kText{"lockstep completion bash|zsh|fish",
                            "Prints a script that completes commands, options and run ids in your shell.",
                            "  echo 'source <(lockstep completion bash)' >> ~/.bashrc\n"
                            "  echo 'source <(lockstep completion zsh)' >> ~/.zshrc\n"
                            "  lockstep completion fish > ~/.config/fish/completions/lockstep.fish"};

constexpr const char* kBash = R"sh(_lockstep() {
  local words
  words=$(lockstep completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
  [ -n "$words" ] || return
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _lockstep lockstep
)sh";

constexpr const char* kZsh = R"sh(_lockstep() {
  local -a found
  found=(${(f)"$(lockstep completion words "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _lockstep lockstep
)sh";

constexpr const char* kFish = R"(function __lockstep_words
  set -l typed (commandline -opc) (commandline -ct)
  lockstep completion words $typed[2..-1] 2>/dev/null
end
complete -c lockstep -a '(__lockstep_words)'
)";

// What a command's help prints, or nothing when it has none of its own.
std::string help_of(const Command& command) {
  const std::ostringstream text;
  std::streambuf* const output = std::cout.rdbuf(text.rdbuf());
  try {
    command.run({"--help"});
  } catch (const std::exception&) {
  }
  std::cout.rdbuf(output);
  return text.str();
}

std::set<std::string> options_in(const std::string& help) {
  std::set<std::string> options{"--help"};
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find_first_not_of(' ');
    if (begin == std::string::npos || begin == 0 || line.compare(begin, 2, "--") != 0) continue;
    options.insert(line.substr(begin, line.find_first_of(" =[", begin) - begin));
  }
  return options;
}

void print(const std::set<std::string>& words) {
  for (const std::string& word : words) std::cout << word << '\n';
}

void print_runs() {
  constexpr std::size_t kMany = 100;
  std::cout << "latest\n";
  for (const RunSummary& run : query_runs(Workspace::from_config().value(), {.newest = kMany}))
    std::cout << run.id << '\n';
}

// words: those typed after "lockstep", the last of them unfinished, perhaps empty.
int print_words(const Arguments& words) {
  if (words.size() < 2) {
    std::set<std::string> names;
    for (const Command& command : all_commands())
      if (*command.group != '\0') names.insert(command.name);
    return print(names), 0;
  }
  for (const Command& command : all_commands()) {
    if (words.front() != command.name || *command.group == '\0') continue;
    const std::string help = help_of(command);
    if (words.back().starts_with("-"))
      print(options_in(help));
    else if (words.size() == 2 && help.substr(0, help.find('\n')).find(" RUN") != std::string::npos)
      print_runs();
  }
  return 0;
}

}  // namespace

int completion_command(const Arguments& arguments) {
  if (!arguments.empty() && arguments.front() == "words") return print_words({arguments.begin() + 1, arguments.end()});
  CompletionOptions options;
  const OptionTable<CompletionOptions> table;
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  const std::vector<std::string> shells{"bash", "zsh", "fish"};
  if (words[0] == "bash") return std::cout << kBash, 0;
  if (words[0] == "zsh") return std::cout << kZsh, 0;
  if (words[0] == "fish") return std::cout << kFish, 0;
  fail(ErrorKind::usage, "there is no completion for \"" + words[0] + "\"" + suggestion(words[0], shells));
}

}  // namespace lockstep
