#include "redact.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cstring>

#include "characters.hpp"
#include "secret_names.hpp"
#include "secret_shapes.hpp"

namespace poster {

namespace {

using std::string_view;

// ---- names and values in free text

// "Bearer xyz" keeps its scheme.
std::string redact_header_value(string_view value) {
    const std::size_t space = value.find(' ');
    constexpr string_view kSchemes[] = {"bearer", "basic", "token", "digest", "apikey", "negotiate"};
    if (space != string_view::npos && one_of(lowered(value.substr(0, space)), kSchemes)) {
        return std::string{value.substr(0, space + 1)}.append(kRedacted);
    }
    return std::string{kRedacted};
}

bool is_header_name(string_view name) {
    return one_of(lowered(name), {"authorization", "proxy-authorization", "cookie", "set-cookie"});
}

// Copies a text and leaves out the values of secret names: NAME=VALUE, name: value, "name": "value", --name value.
class TextScanner {
public:
    TextScanner(const Redactor& redactor, string_view text) : redactor_(redactor), text_(text) {}

    std::string run() {
        while (at_ < text_.size()) {
            if (!is_name_char(text_[at_])) {
                safe_ += text_[at_++];
                continue;
            }
            const std::size_t begin = at_;
            while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
            const string_view name = text_.substr(begin, at_ - begin);
            safe_.append(name);
            if (is_bearer(name)) {
                take_bearer();
            } else if (!name.empty() && name.find_first_not_of("-._") != string_view::npos) {
                take_value(begin, name);
            }
        }
        return std::move(safe_);
    }

private:
    struct Span {
        std::size_t begin;
        std::size_t end;
    };

    std::size_t skip(std::size_t from, string_view characters) const {
        while (from < text_.size() && characters.find(text_[from]) != string_view::npos) ++from;
        return from;
    }

    static bool is_bearer(string_view word) { return word == "Bearer" || word == "bearer" || word == "BEARER"; }

    void take_bearer() {
        constexpr std::size_t kLeast = 12;
        if (at_ >= text_.size() || text_[at_] != ' ') return;
        const std::size_t begin = at_ + 1;
        const Span value{begin, plain_end(begin)};
        const string_view word = text_.substr(begin, value.end - begin);
        if (word.size() >= kLeast && std::any_of(word.begin(), word.end(), is_digit))
            replace(value, std::string{kRedacted});
    }

    // `name` ends at at_: if a value of it follows and is secret, both are consumed.
    void take_value(std::size_t begin, string_view name) {
        if (!redactor_.is_secret_name(name) && !is_signature(begin, name) && !is_header_name(name)) return;
        std::size_t i = at_;
        const std::size_t quote = skip(i, "\\");
        const bool quoted = quote < text_.size() && (text_[quote] == '"' || text_[quote] == '\'') && begin > 0 &&
                            text_[begin - 1] == text_[quote];
        if (quoted) i = quote + 1;
        const std::size_t separator = skip(i, " ");
        const char sign = separator < text_.size() ? text_[separator] : '\0';
        const bool option = name.size() > 2 && name[0] == '-' && (name[1] == '-' || name.size() > 3);
        if (sign == '=' && text_.substr(separator, 2) != "==") {
            const bool spaced = separator > i;
            redact_after(begin, name, value_span(spaced ? skip(separator + 1, " ") : separator + 1), spaced && !quoted,
                         "");
        } else if (sign == ':' && text_.substr(separator, 3) != "://") {
            if (is_header_name(name)) {
                redact_header(skip(separator + 1, " "));
            } else {
                redact_after(begin, name, value_span(skip(separator + 1, " ")), !quoted, ",}");
            }
        } else if (option && !quoted && separator > i && text_.substr(separator, 2) != "--") {
            redact_after(begin, name, value_span(separator), false, "");
        }
    }

    // Between its quotes, or up to where a shell, a URL or a list would end it.
    Span value_span(std::size_t begin) const {
        const std::size_t quote = skip(begin, "\\");
        if (quote >= text_.size() || (text_[quote] != '"' && text_[quote] != '\'')) return {begin, plain_end(begin)};
        const bool escaped = quote > begin;
        std::size_t end = quote + 1;
        while (end < text_.size() && text_[end] != text_[quote]) {
            if (escaped && text_[end] == '\\') break;
            end += !escaped && text_[end] == '\\' ? 2 : 1;
        }
        return {quote + 1, std::min(end, text_.size())};
    }

    std::size_t plain_end(std::size_t begin) const {
        std::size_t end = begin;
        while (end < text_.size() && !is_space(text_[end]) && std::strchr("\"'`;&|)}", text_[end]) == nullptr) ++end;
        return end;
    }

    bool is_signature(std::size_t begin, string_view name) const { // of a signed URL
        const bool in_query = begin > 0 && (text_[begin - 1] == '?' || text_[begin - 1] == '&');
        return in_query && (ends_with(lowered(name), "signature") || name == "sig");
    }

    void redact_after(std::size_t begin, string_view name, Span value, bool only_certain, string_view also_ends) {
        value.end = std::min(value.end,
                             std::max(value.begin, text_.substr(0, value.end).find_first_of(also_ends, value.begin)));
        const string_view word = text_.substr(value.begin, value.end - value.begin);
        const bool signature = is_signature(begin, name) && !word.empty();
        const bool reference = only_certain && name.find_first_of("_-") == string_view::npos &&
                               judge(name) != Verdict::secret; // prose: "invalid token: foo"
        if (!reference && (signature || redactor_.is_secret(name, word)) && word != kRedacted) {
            replace(value, std::string{kRedacted});
        }
    }

    void redact_header(std::size_t begin) {
        Span value = value_span(begin);
        if (value.begin == begin) { // unquoted: to the end of the line, or of the quotes around the whole header
            value.end = std::min(text_.find_first_of("\"'\r\n", begin), text_.size());
        }
        const string_view word = text_.substr(value.begin, value.end - value.begin);
        if (!is_never_secret(word)) replace(value, redact_header_value(word));
    }

    void replace(Span value, const std::string& words) {
        safe_.append(text_.substr(at_, value.begin - at_)).append(words);
        at_ = value.end;
    }

    const Redactor& redactor_;
    string_view text_;
    std::size_t at_ = 0;
    std::string safe_;
};

// ---- arguments

string_view bare_name(string_view name) {
    const std::size_t begin = name.find_first_not_of("-+~");
    return begin == string_view::npos ? string_view{} : name.substr(begin);
}

// How NAME=VALUE words are named: options, Hydra overrides (+a.b, ++a.b, group@package) and variables.
bool is_assignable(string_view name) {
    return !bare_name(name).empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return is_name_char(c) || std::strchr("+~@/:", c) != nullptr;
    });
}

// "--token" and "-token", but neither "-p" nor a switch such as "--use-auth-token", which is followed by anything.
bool takes_next_word(string_view word) {
    if (word.size() < 3 || word[0] != '-' || !is_assignable(word)) return false;
    return !is_switch(bare_name(word));
}

bool fetches(const std::vector<std::string>& argv) {
    return std::any_of(argv.begin(), argv.end(), [](const std::string& word) {
        return one_of(string_view{word}.substr(word.rfind('/') + 1), {"curl", "wget", "http", "https"});
    });
}

// curl's -u user:password
std::string redact_login(const std::string& word) {
    const std::size_t colon = word.find(':');
    return colon == std::string::npos ? word : word.substr(0, colon + 1).append(kRedacted);
}

bool matches(const std::vector<std::string>& globs, string_view name) {
    const std::string whole{bare_name(name)};
    const std::string last = whole.substr(whole.rfind('.') + 1);
    return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
        return ::fnmatch(glob.c_str(), whole.c_str(), FNM_CASEFOLD) == 0 ||
               ::fnmatch(glob.c_str(), last.c_str(), FNM_CASEFOLD) == 0;
    });
}

} // namespace

Redactor::Redactor(std::vector<std::string> redact, std::vector<std::string> keep)
    : redact_(std::move(redact)), keep_(std::move(keep)) {}

bool Redactor::is_secret_name(string_view name) const {
    if (matches(keep_, name)) return false;
    return matches(redact_, name) || judge(bare_name(name)) != Verdict::harmless;
}

bool Redactor::is_secret_value(string_view value) const {
    while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
    while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
    if (value.empty()) return false;
    return shape_length(value) == value.size() || redact_pem(value) != value;
}

bool Redactor::is_secret(string_view name, string_view value) const {
    if (value.empty() || matches(keep_, name)) return false;
    const string_view bare = bare_name(name);
    return matches(redact_, name) || is_secret_pair(judge(bare), bare, value) || is_secret_value(value);
}

std::string Redactor::value(string_view name, string_view value) const {
    if (is_secret(name, value)) return std::string{kRedacted};
    return matches(keep_, name) ? std::string{value} : text(value);
}

std::vector<std::string> Redactor::arguments(const std::vector<std::string>& argv) const {
    std::vector<std::string> safe;
    safe.reserve(argv.size());
    const bool logins = fetches(argv);
    for (std::size_t i = 0; i < argv.size(); ++i) {
        const std::string& word = argv[i];
        const std::string& before = i > 0 ? argv[i - 1] : word;
        const bool is_value = i > 1 && word.rfind("--", 0) != 0;
        if (is_value && logins &&
            (before == "-u" || before == "--user" || before == "--proxy-user" || before == "-U")) {
            safe.push_back(redact_login(word));
            continue;
        }
        if (is_value && before.find('=') == std::string::npos && takes_next_word(before) &&
            (matches(keep_, before) || is_secret_name(before))) {
            safe.push_back(value(before, word));
            continue;
        }
        const std::size_t equals = word.find('=');
        if (equals != std::string::npos && equals > 0 && is_assignable(string_view{word}.substr(0, equals))) {
            const string_view name = string_view{word}.substr(0, equals);
            safe.push_back(word.substr(0, equals + 1) + value(name, string_view{word}.substr(equals + 1)));
            continue;
        }
        safe.push_back(text(word));
    }
    return safe;
}

std::string Redactor::text(string_view text) const {
    std::string safe{text};
    if (safe.size() < 2) return safe;
    if (safe.find("-----BEGIN ") != std::string::npos) safe = redact_pem(safe);
    if (safe.find('@') != std::string::npos) {
        safe = redact_urls(safe);
        safe = redact_logins(safe);
    }
    safe = redact_shapes(safe);
    if (safe.find_first_of("=: ") != std::string::npos) safe = TextScanner{*this, safe}.run();
    return safe;
}

} // namespace poster
