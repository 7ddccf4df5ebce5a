#include "lockstep/core/run_condition.h"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

bool is_operator_character(char c) { return std::string_view("=!<>~").find(c) != std::string_view::npos; }

bool compare(const std::string& left, const std::string& op, const std::string& right) {
  if (op == "~") return left.find(right) != std::string::npos;
  const auto a = number(left), b = number(right);
  const bool numbers = a && b;
  if (op == "=" || op == "==" || op == "!=")
    return (numbers ? *a == *b : ::strcasecmp(left.c_str(), right.c_str()) == 0) == (op != "!=");
  if (op == "<") return numbers ? *a < *b : left < right;
  if (op == "<=") return numbers ? *a <= *b : left <= right;
  if (op == ">") return numbers ? *a > *b : left > right;
  return numbers ? *a >= *b : left >= right;
}

}  // namespace

class ConditionParser {
 public:
  explicit ConditionParser(std::string_view text) : text_(text) {}

  RunCondition parse() {
    RunCondition condition = any(0);
    if (!at_end()) wrong("\"and\", \"or\" or the end");
    return condition;
  }

 private:
  using Kind = RunCondition::Kind;
  static constexpr int kDeepest = 200;

  RunCondition any(int depth) {
    return chain(Kind::any, "or", [&] { return chain(Kind::all, "and", [&] { return factor(depth); }); });
  }

  template <typename Part>
  RunCondition chain(Kind kind, std::string_view word, const Part& part) {
    RunCondition first = part();
    if (!takes_word(word)) return first;
    RunCondition condition;
    condition.kind_ = kind;
    condition.parts_.push_back(std::move(first));
    do condition.parts_.push_back(part());
    while (takes_word(word));
    return condition;
  }

  RunCondition factor(int depth) {
    if (depth > kDeepest) fail(ErrorKind::usage, "the condition is nested too deeply", {}, "--where");
    RunCondition condition;
    if (takes_word("not")) {
      condition.kind_ = Kind::inverse;
      condition.parts_.push_back(factor(depth + 1));
      return condition;
    }
    skip_blanks();
    if (!at_end() && text_[at_] == '(') {
      ++at_;
      condition = any(depth + 1);
      skip_blanks();
      if (at_end() || text_[at_] != ')') wrong("\")\"");
      ++at_;
      return condition;
    }
    condition.key_ = word("a key such as status, tags.NAME, params.NAME or metrics.NAME");
    condition.operator_ = comparison();
    condition.value_ = word("a value");
    return condition;
  }

  std::string comparison() {
    skip_blanks();
    const std::size_t begin = at_;
    while (!at_end() && is_operator_character(text_[at_])) ++at_;
    const std::string_view found = text_.substr(begin, at_ - begin);
    for (const std::string_view known : {"=", "==", "!=", "<", "<=", ">", ">=", "~"})
      if (found == known) return std::string(found);
    at_ = begin;
    wrong("one of = != < <= > >= ~");
  }

  std::string word(const char* expected) {
    skip_blanks();
    if (at_end()) wrong(expected);
    if (const char quote = text_[at_]; quote == '"' || quote == '\'') {
      const std::size_t end = text_.find(quote, at_ + 1);
      if (end == std::string_view::npos) wrong("the second quote of a text");
      const std::string found(text_.substr(at_ + 1, end - at_ - 1));
      at_ = end + 1;
      return found;
    }
    const std::size_t begin = at_;
    while (!at_end() && !is_blank() && !is_operator_character(text_[at_]) && text_[at_] != '(' && text_[at_] != ')')
      ++at_;
    if (begin == at_) wrong(expected);
    return std::string(text_.substr(begin, at_ - begin));
  }

  bool takes_word(std::string_view wanted) {
    skip_blanks();
    if (::strncasecmp(text_.data() + at_, wanted.data(), std::min(wanted.size(), text_.size() - at_)) != 0)
      return false;
    const std::size_t end = at_ + wanted.size();
    if (end > text_.size()) return false;
    if (end < text_.size() && std::isspace(static_cast<unsigned char>(text_[end])) == 0 && text_[end] != '(')
      return false;
    at_ = end;
    return true;
  }

  bool at_end() const { return at_ >= text_.size(); }
  bool is_blank() const { return std::isspace(static_cast<unsigned char>(text_[at_])) != 0; }
  void skip_blanks() {
    while (!at_end() && is_blank()) ++at_;
  }

  [[noreturn]] void wrong(const std::string& expected) const {
    const std::string rest(text_.substr(std::min(at_, text_.size())));
    fail(ErrorKind::usage,
         "the condition \"" + std::string(text_) + "\" has " + (rest.empty() ? "its end" : "\"" + rest + "\"") +
             " where " + expected + " was expected",
         "for example: --where 'status = Failed and params.lr < 0.01'", "--where");
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

RunCondition RunCondition::parse(std::string_view text) { return ConditionParser(text).parse(); }

bool RunCondition::holds(const std::function<std::optional<std::string>(const std::string&)>& value_of) const {
  const auto part_holds = [&](const RunCondition& part) { return part.holds(value_of); };
  switch (kind_) {
    case Kind::all:
      return std::all_of(parts_.begin(), parts_.end(), part_holds);
    case Kind::any:
      return std::any_of(parts_.begin(), parts_.end(), part_holds);
    case Kind::inverse:
      return !parts_.front().holds(value_of);
    case Kind::comparison:
      break;
  }
  const auto value = value_of(key_);
  return value ? compare(*value, operator_, value_) : operator_ == "!=";
}

std::vector<std::string> RunCondition::keys() const {
  if (kind_ == Kind::comparison) return {key_};
  std::vector<std::string> keys;
  for (const RunCondition& part : parts_) {
    const auto more = part.keys();
    keys.insert(keys.end(), more.begin(), more.end());
  }
  return keys;
}

}  // namespace lockstep
