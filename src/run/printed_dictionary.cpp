#include "printed_dictionary.hpp"

#include <cmath>
#include <unordered_set>

#include "printed_names.hpp"

namespace poster {

namespace {

constexpr int kDeepest = 4;
constexpr std::size_t kMostValues = 200;

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

// What every line of a structured log has.
bool describes_line(std::string_view key) {
    static const std::unordered_set<std::string_view> keys{
        "level", "levelname", "severity", "msg",  "message", "logger",  "name",     "ts",   "time",    "timestamp",
        "event", "caller",    "module",   "host", "date",    "asctime", "function", "file", "filename"};
    return keys.contains(key);
}

class DictionaryReader {
public:
    DictionaryReader(std::string_view text, std::vector<PrintedCandidate>& candidates, int& words, PrintedLine& line)
        : text_(text), candidates_(candidates), words_(words), line_(line) {}

    bool read_object(const std::string& prefix, int depth) {
        if (depth > kDeepest || !take('{')) return false;
        if (take('}')) return true;
        do {
            if (at() == '}') break; // a comma after the last one
            std::string_view key;
            if (!read_key(key) || !take(':') || !read_value(prefix, key, depth)) return false;
        } while (take(','));
        return take('}');
    }

private:
    char at() {
        while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
        return at_ < text_.size() ? text_[at_] : '\0';
    }
    bool take(char c) {
        if (at() != c) return false;
        ++at_;
        return true;
    }

    bool read_quoted(std::string_view& content) {
        const char quote = at();
        if (quote != '"' && quote != '\'') return false;
        const std::size_t begin = ++at_;
        while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
        if (at_ >= text_.size()) return false;
        content = text_.substr(begin, at_++ - begin);
        return true;
    }

    bool read_key(std::string_view& key) {
        if (at() == '"' || at() == '\'') return read_quoted(key);
        const std::size_t begin = at_; // {0: …}
        while (at_ < text_.size() && text_[at_] != ':' && text_[at_] != ',' && text_[at_] != '}') ++at_;
        key = {};
        return at_ > begin;
    }

    bool read_value(const std::string& prefix, std::string_view key, int depth) {
        const char first = at();
        const std::string name = prefix + std::string(key);
        if (first == '{') return read_object(name + '/', depth + 1);
        std::string_view word;
        if (first == '"' || first == '\'') {
            if (!read_quoted(word)) return false;
            double value = 0;
            if (parse_printed_number(word, value))
                note(name, word, depth);
            else if (!describes_line(key))
                ++words_;
            return true;
        }
        if (!read_bare(word)) return false;
        note(name, word, depth);
        return true;
    }

    // Up to the comma or brace that ends a value; brackets within it are balanced.
    bool read_bare(std::string_view& word) {
        const std::size_t begin = at_;
        int open = 0;
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (open == 0 && (c == ',' || c == '}')) break;
            if (c == '"' || c == '\'') {
                std::string_view ignored;
                if (!read_quoted(ignored)) return false;
                --at_;
            }
            if (c == '(' || c == '[' || c == '{') ++open;
            if ((c == ')' || c == ']' || c == '}') && --open < 0) return false;
        }
        word = text_.substr(begin, at_ - begin);
        while (!word.empty() && is_blank(word.back())) word.remove_suffix(1);
        return at_ < text_.size() && !word.empty();
    }

    void note(const std::string& name, std::string_view word, int depth) {
        PrintedCandidate candidate;
        if (name.empty() || candidates_.size() >= kMostValues || !parse_printed_number(word, candidate.value)) return;
        candidate.name = name;
        candidate.pointed = word.find_first_of(".eE%n") != std::string_view::npos;
        const NameKind kind = depth == 1 ? kind_of_name(name) : NameKind::open;
        if (kind == NameKind::epoch && std::isfinite(candidate.value))
            line_.epoch = candidate.value;
        else if (kind == NameKind::step && candidate.value == std::floor(candidate.value) &&
                 std::abs(candidate.value) < 1e15)
            line_.step = std::int64_t(candidate.value);
        else if (kind != NameKind::step)
            candidates_.push_back(std::move(candidate));
    }

    std::string_view text_;
    std::vector<PrintedCandidate>& candidates_;
    int& words_;
    PrintedLine& line_;
    std::size_t at_ = 0;
};

} // namespace

std::size_t find_dictionary(std::string_view text) {
    const std::size_t begin = text.find('{');
    if (begin == std::string_view::npos) return begin;
    const std::size_t next = text.find_first_not_of(" \t", begin + 1);
    if (next == std::string_view::npos || (text[next] != '"' && text[next] != '\'')) return std::string_view::npos;
    return begin;
}

bool read_dictionary(std::string_view text, std::vector<PrintedCandidate>& candidates, int& words, PrintedLine& line) {
    return DictionaryReader(text, candidates, words, line).read_object("", 1);
}

} // namespace poster
