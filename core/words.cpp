#include "lockstep/core/words.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace lockstep {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }
bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_name_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// A protected character: its $ is doubled so that expand_variables gives it back.
void append_literal(std::string& word, char c) {
  if (c == '$') word += '$';
  word += c;
}

class WordReader {
 public:
  explicit WordReader(std::string_view text) : text_(text) {}

  Result<std::vector<std::string>> read() {
    while (next_ < text_.size()) {
      const char c = text_[next_++];
      if (is_blank(c)) {
        finish_word();
      } else if (!take(c)) {
        return error_;
      }
    }
    finish_word();
    return std::move(words_);
  }

 private:
  bool take(char c) {
    in_word_ = true;
    if (c == '\'') return single_quoted();
    if (c == '"') return double_quoted();
    if (c == '\\') return escaped();
    word_ += c;
    return true;
  }

  bool single_quoted() {
    for (; next_ < text_.size(); ++next_) {
      if (text_[next_] == '\'') return ++next_, true;
      append_literal(word_, text_[next_]);
    }
    return refuse("a ' is not closed");
  }

  bool double_quoted() {
    for (; next_ < text_.size(); ++next_) {
      const char c = text_[next_];
      if (c == '"') return ++next_, true;
      // Inside "…" a \ protects only these.
      const bool protects = c == '\\' && next_ + 1 < text_.size() &&
                            std::string_view("$`\"\\").find(text_[next_ + 1]) != std::string_view::npos;
      if (protects)
        append_literal(word_, text_[++next_]);
      else
        word_ += c;
    }
    return refuse("a \" is not closed");
  }

  bool escaped() {
    if (next_ == text_.size()) return refuse("it ends with a \\");
    append_literal(word_, text_[next_++]);
    return true;
  }

  void finish_word() {
    if (in_word_) words_.push_back(std::move(word_));
    word_.clear();
    in_word_ = false;
  }

  bool refuse(const std::string& why) {
    error_ = {ErrorKind::usage, "\"" + std::string(text_) + "\" cannot be split into words: " + why, {}, {}};
    return false;
  }

  std::string_view text_;
  std::size_t next_ = 0;
  std::vector<std::string> words_;
  std::string word_;
  bool in_word_ = false;  // '' is a word too, an empty one
  Error error_;
};

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("%+,-./:=@_^").find(c) != std::string_view::npos;
}

std::string quote_word(const std::string& word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view text) { return WordReader(text).read(); }

std::string quote_words(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quote_word(word);
  return line;
}

std::string expand_variables(std::string_view text,
                             const std::function<std::optional<std::string>(const std::string&)>& lookup) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '$' || i + 1 == text.size()) {
      result += text[i++];
      continue;
    }
    if (text[i + 1] == '$') {
      result += '$';
      i += 2;
      continue;
    }
    const bool braces = text[i + 1] == '{';
    const std::size_t begin = i + 1 + braces;
    std::size_t end = begin;
    if (end < text.size() && is_name_start(text[end]))
      while (end < text.size() && is_name_part(text[end])) ++end;
    const bool named = end > begin && (!braces || (end < text.size() && text[end] == '}'));
    const auto value = named ? lookup(std::string(text.substr(begin, end - begin))) : std::nullopt;
    const std::size_t after = named ? end + braces : i + 1;
    result += value ? *value : std::string(text.substr(i, after - i));
    i = after;
  }
  return result;
}

bool is_secret_name(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
  constexpr std::array<std::string_view, 7> kParts{"KEY",    "TOKEN",      "SECRET",    "PASSWORD",
                                                   "PASSWD", "PASSPHRASE", "CREDENTIAL"};
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return upper.find(part) != std::string::npos; });
}

}  // namespace lockstep
